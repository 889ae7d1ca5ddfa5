"""Packs of one space after several tuning budgets, for `tvm_vs_ort.py --schedules`.

    HWNAS_HOME=NEW_FOLDER python benchmarks/tuning_budgets.py OUT [--space demo|FILE.yaml] [--threads 1]
        [--minutes 0 5 10 20 45]

Tunes in steps and keeps the pack after each as OUT/MINUTESmin.json.xz. `HWNAS_HOME` should be a new
folder, so that nothing is known before but a shipped pack. It takes as long as the last budget, and
a minute.
"""

import argparse
import time
from pathlib import Path

from hwnas.profilers.tvm.kernels.packs import read_pack
from hwnas.profilers.tvm.tuning.making import tune_space
from hwnas.profilers.tvm.tuning.sharing import export_pack
from hwnas.spaces import open_space


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--space", default="demo")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--minutes", type=float, nargs="+", default=[0, 5, 10, 20, 45])
    arguments = parser.parse_args()
    space = open_space(arguments.space)
    spent_s = 0.0
    for minutes in arguments.minutes:
        start = time.monotonic()
        result = tune_space(space, max(0.0, 60 * minutes - spent_s), threads=arguments.threads)
        spent_s += time.monotonic() - start
        pack = read_pack(result.pack)
        export_pack(pack, arguments.out / f"{minutes:g}min.json.xz")
        print(
            f"{minutes:g} min ({spent_s:.0f} s): "
            f"{result.progress.tuned} of {result.progress.kernels} kernels, "
            f"{pack.trials} trials, {result.progress.expected_us:.1f} us expected",
            flush=True,
        )


if __name__ == "__main__":
    main()
