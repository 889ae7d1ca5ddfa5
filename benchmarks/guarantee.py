"""Do the latencies that a search prints hold when its files are measured again by a fresh process?

    python benchmarks/guarantee.py --out FOLDER [--device cpu-ort] [--targets 5] [--seeds 3]
        [--samples 40] [--evaluations 40] [--images 1000]

Searches the demo space for each target and seed, then measures every exported file of the front anew
and holds its p95 against the target: as the clock told it, and corrected by the canary to the speed
that the search knew. Targets lie evenly, in the logarithm, between the fastest and the slowest
network. Runs that are complete in FOLDER are not searched again.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from hwnas.profilers import Protocol, get_device
from hwnas.search.front import read_front
from hwnas.spaces import get_space


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cpu-ort")
    parser.add_argument("--targets", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument("--evaluations", type=int, default=40)
    parser.add_argument("--images", type=int, default=1000)
    arguments = parser.parse_args()
    store = arguments.out / "store.sqlite"
    common = ("--device", arguments.device, "--store", str(store), "--samples", str(arguments.samples))
    known = json.loads(hwnas("profile", *common, "--json"))
    ends = [known[name]["latency_ms"]["p95"] for name in ("fastest", "slowest")]
    total = np.zeros(4, dtype=int)
    for target_ms in np.geomspace(1.2 * ends[0], 0.9 * ends[1], arguments.targets):
        for seed in range(arguments.seeds):
            run = arguments.out / f"{1e3 * target_ms:.0f}us-{seed}"
            if not (run / "front.json").exists():
                words = ("--evaluations", str(arguments.evaluations), "--images", str(arguments.images))
                words += ("--seed", str(seed), "-o", str(run))
                hwnas("search", "--target-latency", f"{1e3 * target_ms:.3f}us", *common, *words)
            counts = held(run, arguments.device)
            total += counts
            models, raw, corrected, dropped = counts
            print(
                f"{1e3 * target_ms:6.1f} us, seed {seed}: {models} models; p95 above the target when "
                f"measured again: {corrected} corrected, {raw} by the clock; {dropped} dropped by the search",
                flush=True,
            )
    models, raw, corrected, dropped = total
    print(
        f"in all {models} models: {corrected} misses corrected ({corrected / models:.1%}), "
        f"{raw} by the clock ({raw / models:.1%}); {dropped} dropped by the searches themselves"
    )


def hwnas(*words: str) -> str:
    """Returns what a command prints on stdout."""
    done = subprocess.run(
        [sys.executable, "-m", "hwnas", *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def held(run: Path, device_name: str) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Returns the numbers of models, of misses by the clock and corrected, and of models dropped before."""
    front = read_front(run)
    assert isinstance(front.target_latency_ms, float)
    device = get_device(device_name, get_space(front.space))
    reference_ms = {one.latency_ms[device_name].get("canary_reference_ms") for one in front.members}
    assert len(reference_ms) == 1, "files of one front are corrected to one speed"
    files = {one.id: run / "models" / one.id / "model.onnx" for one in front.members}
    taken = device.measure_artefacts(files, Protocol(), canary_reference_ms=reference_ms.pop())
    known = {one.id: one.latency_ms[device_name]["canary_reference_ms"] for one in front.members}
    corrected = sum(
        one.p95_ms * known[one.subject] / (one.canary_reference_ms or 1.0) > front.target_latency_ms
        for one in taken
    )
    raw = sum((one.raw_p95_ms or one.p95_ms) > front.target_latency_ms for one in taken)
    return np.array([len(taken), raw, corrected, len(front.dropped)])


if __name__ == "__main__":
    main()
