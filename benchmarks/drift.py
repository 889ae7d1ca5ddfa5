"""Do two measurements of a network agree, taken apart in time, in another order, and under a load burst?

    python benchmarks/drift.py [--device cpu] [--space demo] [--networks 40] [--pause 0]
                               [--burst 20] [--seed 0]

All networks are measured twice: first sorted by their cost, then, after a pause, in random order.
With `--burst S`, as many busy processes as there are processors run for S seconds of the second
pass, from a third of its networks on. What is printed is by how much the medians of the two passes
differ: as the clock told them, and corrected by the canary.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hwnas.profilers import Device, GroupResult, Measurement, Protocol, get_device
from hwnas.spaces import Candidates, open_space, random_network

# Works on more memory than the nearest caches hold, and does not stop.
_BUSY = """
import numpy as np
numbers = np.ones(4_000_000, np.float32)
while True:
    numbers += 1
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--space", default="demo")
    parser.add_argument("--networks", type=int, default=40)
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between the passes")
    parser.add_argument("--burst", type=float, default=0.0, help="seconds of load in the second pass")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    space = open_space(arguments.space)
    rng = np.random.default_rng(arguments.seed)
    candidates = Candidates.of_genomes(space, space.sample_genomes(arguments.networks, rng))
    candidates = candidates[candidates.first_of_each()]
    device = get_device(arguments.device, space)
    device.prepare()
    by_cost = candidates[np.argsort(candidates.costs().macs, kind="stable")]
    first = taken(device, by_cost, None, lambda done: None, "sorted")
    time.sleep(arguments.pause)
    shuffled = by_cost[rng.permutation(len(by_cost))]
    with Burst(arguments.burst, len(by_cost) // 3) as burst:
        second = taken(device, shuffled, first[0].canary_reference_ms, burst.on_done, "random")
    again = {one.subject: one for one in second}
    compare(first, [again[one.subject] for one in first])


def taken(
    device: Device,
    candidates: Candidates,
    reference_ms: float | None,
    on_done: Callable[[int], None],
    order: str,
) -> list[Measurement]:
    """Returns one measurement for each candidate, and prints what came of them."""
    done = 0

    def on_group(result: GroupResult) -> None:
        nonlocal done
        done += len(result.measurements)
        on_done(done)

    networks = (random_network(candidates.layers(row)) for row in range(len(candidates)))
    begun = time.monotonic()
    found = device.measure(networks, Protocol(), on_group, canary_reference_ms=reference_ms)
    print(
        f"{order} order: {len(found)} networks in {time.monotonic() - begun:.0f} s, "
        f"{sum(one.verdict == 'stable' for one in found)} stable, "
        f"{sum(one.conditions.get('disturbed_rounds', 0) > 0 for one in found)} with repeated rounds, "
        f"{np.mean([len(one.samples_ms) for one in found]):.0f} samples each"
    )
    for reason in sorted({reason.split(",")[0] for one in found for reason in one.reasons})[:5]:
        print(f"  marked: {reason}")
    return found


def compare(first: list[Measurement], second: list[Measurement]) -> None:
    """Prints by how many percent the medians of two passes differ."""
    stable = np.array([a.verdict == b.verdict == "stable" for a, b in zip(first, second, strict=True)])
    raw = differences(*([one.raw_latency_ms or one.latency_ms for one in taken] for taken in (first, second)))
    # In canary times: a pass may have found the device faster than it was known to be.
    corrected = differences(*([in_canary_times(one) for one in taken] for taken in (first, second)))
    levels = [
        np.median(one.canary_ms) / one.canary_reference_ms for one in (*first, *second) if one.canary_ms
    ]
    if levels:
        print(f"the canary took {min(levels):.2f} to {max(levels):.2f} of its reference time")
    print("medians differ by (%)      networks  median   95 %  largest  within 3 %")
    for name, found in (("raw", raw), ("corrected", corrected)):
        for which, rows in (("all", np.ones_like(stable)), ("stable", stable)):
            values = found[rows]
            if len(values):
                print(
                    f"{name:>12}, {which:<12} {len(values):8d} {np.median(values):7.2f} "
                    f"{np.quantile(values, 0.95):6.2f} {values.max():8.2f} {np.mean(values <= 3):10.0%}"
                )


def in_canary_times(one: Measurement) -> float:
    """Returns the corrected median over the canary's reference time."""
    return one.latency_ms / (one.canary_reference_ms or 1.0)


def differences(first: list[float], second: list[float]) -> NDArray[np.float64]:
    """Returns the differences in percent of the smaller."""
    pairs = np.array([first, second], dtype=np.float64)
    return np.asarray(100 * (pairs.max(0) / pairs.min(0) - 1))


class Burst:
    """Busy processes for some seconds from when so many networks are done; none for 0 s."""

    def __init__(self, seconds: float, after: int) -> None:
        self.seconds = seconds
        self.after = after
        self.processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Burst":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.kill()
            process.wait()

    def on_done(self, done: int) -> None:
        """Hears how many networks are done."""
        if self.seconds and not self.processes and done >= self.after:
            command = ["timeout", str(self.seconds), sys.executable, "-c", _BUSY]
            self.processes = [subprocess.Popen(command) for _ in range(os.cpu_count() or 1)]


if __name__ == "__main__":
    main()
