"""The cycle model of the DPU against published rates of boards: errors, and where its constants are from.

    python benchmarks/accelerators.py [--fit]

Prints the error of the shipped descriptions for every published figure. With `--fit` it fits the six
constants on KV260 anew, leaves each family of networks out in turn, and fits one contention factor each
for ZCU102 and ZCU104; what it prints goes into the descriptions. Figures: benchmarks/data/dpu_published.csv.
"""

import argparse
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from published_networks import NETWORKS
from scipy.optimize import minimize, minimize_scalar

from hwnas.profilers.accelerators.dpu import Dpu, get_dpu, latency_ms, op_costs
from hwnas.spaces import Op

PUBLISHED = Path(__file__).parent / "data" / "dpu_published.csv"
CONSTANTS = (
    *("conv_overhead", "alu_overhead", "bandwidth_gb_per_s"),
    *("op_overhead_us", "slow_pass_factor", "depthwise_overlap"),
)
BOARDS = ("kv260", "zcu104", "zcu102")
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Work:
    """What a network asks of a core, one entry a pass, before constants are known."""

    conv: NDArray[np.bool_]
    slow: NDArray[np.bool_]
    cycles: Floats
    bytes: Floats
    overlaps: NDArray[np.int64]  # depthwise passes that a convolution reads directly

    @staticmethod
    def of(ops: Sequence[Op], dpu: Dpu) -> "Work":
        """Returns the work of operations on the array of a description."""
        plain = dpu.model_copy(update={"slow_pass_factor": 1.0})
        rows, overlaps = [], []
        for op, after in zip(ops, [*ops[1:], None], strict=True):
            costs = op_costs(op, plain)
            if op.kind == "depthwise" and after is not None and after.kind == "conv" and len(costs) == 1:
                overlaps.append(len(rows))
            for index, one in enumerate(costs):
                rows.append((one.engine == "conv", index > 0 or op.kind == "scale", one.cycles, one.bytes))
        conv, slow, cycles, moved = (np.array(column) for column in zip(*rows, strict=True))
        return Work(conv, slow, cycles.astype(float), moved.astype(float), np.array(overlaps, dtype=int))

    def latency_ms(self, constants: Floats, clock_mhz: float, share: float = 1.0) -> float:
        """Returns the time with these constants and this share of the bandwidth."""
        conv, alu, bandwidth, start_us, slow, overlap = constants
        cycles = self.cycles * np.where(self.conv, conv, alu) * np.where(self.slow, slow, 1.0)
        times = np.maximum(cycles / clock_mhz, self.bytes / (bandwidth * share * 1e3))
        hidden = overlap * np.minimum(times[self.overlaps], times[self.overlaps + 1]).sum()
        return float(times.sum() + len(times) * start_us - hidden) / 1e3


def published() -> list[dict[str, str]]:
    with PUBLISHED.open(newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def errors_percent(board: str, dpu: Dpu) -> Floats:
    """Error of the time of an image, all cores busy, for every published rate of a board."""
    busy = dpu.model_copy(update={"busy_cores": dpu.cores})
    rates = [float(row[board]) for row in published()]
    times = [latency_ms(NETWORKS[row["network"]](), busy) / dpu.cores for row in published()]
    return 100 * (np.array(times) * np.array(rates) / 1e3 - 1)


def fit_constants(works: Sequence[Work], truth_ms: Floats, start: Floats) -> Floats:
    """The constants with the least mean absolute and mean square error of logarithms."""

    def loss(logs: Floats) -> float:
        constants = np.exp(logs)
        constants[5] = min(constants[5], 1.0)
        error = np.log([work.latency_ms(constants, 300) for work in works]) - np.log(truth_ms)
        below = np.maximum(0, -logs[[0, 1, 4]]).sum()  # real cycles are no fewer than modelled ones
        return float(np.abs(error).mean() + 0.5 * np.sqrt((error**2).mean()) + below)

    found = [
        minimize(
            loss, np.log(start * factors), method="Nelder-Mead", options={"maxiter": 4000, "fatol": 1e-6}
        )
        for factors in (np.ones(6), np.array([1.0, 1.2, 1.0, 1.0, 1.6, 0.8]))
    ]
    return np.exp(min(found, key=lambda one: one.fun).x)


def fit() -> None:
    rows, kv260 = published(), get_dpu("kv260")
    works = [Work.of(NETWORKS[row["network"]](), kv260) for row in rows]
    truth_ms = 1e3 / np.array([float(row["kv260"]) for row in rows])
    start = np.array([getattr(kv260, name) for name in CONSTANTS])
    constants = fit_constants(works, truth_ms, start)
    print("constants:", dict(zip(CONSTANTS, np.round(constants, 3).tolist(), strict=True)))
    left_out = np.empty(len(rows))
    for family in dict.fromkeys(row["family"] for row in rows):
        inside = [i for i, row in enumerate(rows) if row["family"] != family]
        of_others = fit_constants([works[i] for i in inside], truth_ms[inside], constants)
        for i, row in enumerate(rows):
            if row["family"] == family:
                left_out[i] = 100 * (works[i].latency_ms(of_others, 300) / truth_ms[i] - 1)
    inside = 100 * (np.array([work.latency_ms(constants, 300) for work in works]) / truth_ms - 1)
    for row, a, b in zip(rows, inside, left_out, strict=True):
        print(f"  {row['network']:24} in sample {a:+6.1f} %   its family left out {b:+6.1f} %")
    print(f"KV260: MAPE {np.abs(inside).mean():.2f} % in sample, {np.abs(left_out).mean():.2f} % left out")
    for board in BOARDS[1:]:
        dpu, rates = get_dpu(board), np.array([float(row[board]) for row in rows])

        def misses(share: float, dpu: Dpu = dpu, rates: Floats = rates) -> Floats:
            times = [work.latency_ms(constants, dpu.clock_mhz, share) for work in works]
            return 100 * (np.array(times) / dpu.cores * rates / 1e3 - 1)

        share = minimize_scalar(
            lambda s, misses=misses: np.abs(misses(s)).mean(), bounds=(0.2, 1), method="bounded"
        ).x
        print(f"{board}: contention {share:.3f}, MAPE {np.abs(misses(share)).mean():.2f} %")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--fit", action="store_true")
    if parser.parse_args().fit:
        fit()
    found = {board: errors_percent(board, get_dpu(board)) for board in BOARDS}
    print(f"{'network':24}" + "".join(f"{board:>9}" for board in BOARDS))
    rows = published()
    for index, row in enumerate(rows):
        cells = "".join(f"{found[board][index]:+8.1f}%" for board in BOARDS)
        print(f"{row['network']:24}{cells}  {row['source']}")
    for title, keep in (("all", ("v2.5", "v3")), ("Vitis AI 3.0 alone", ("v3",))):
        picked = [i for i, row in enumerate(rows) if row["source"] in keep]
        cells = "".join(f"{np.abs(found[board][picked]).mean():8.2f}%" for board in BOARDS)
        print(f"{'MAPE, ' + title:24}{cells}  n = {len(picked)}")


if __name__ == "__main__":
    main()
