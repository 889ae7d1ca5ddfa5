"""What does it cost to profile a space, step by step?

    python benchmarks/profiling.py [--device cpu] [--space demo] [--samples 1000] [--seed 0]

Random subnets go through `hwnas.profilers.profile` with the default protocol, into a store of their
own. Kernels are compiled before the clock starts. Times are wall seconds; CPU seconds are of this
process and of what it starts (linkers, the measuring worker).
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from typing import Any
from unittest.mock import patch

import numpy as np

from hwnas.profilers import Device, Store, get_device
from hwnas.profilers import profile as measured
from hwnas.profilers.measuring.worker_meter import _WorkerMeter
from hwnas.spaces import Candidates, open_space, random_network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--space", default="demo")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    space = open_space(arguments.space)
    genomes = space.sample_genomes(arguments.samples, np.random.default_rng(arguments.seed))
    candidates = Candidates.of_genomes(space, genomes)
    device = get_device(arguments.device, space)
    begun = time.monotonic()
    device.prepare()
    print(f"kernels ready after {time.monotonic() - begun:.1f} s")
    steps: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "store.sqlite") as store:
        begun, cpu = time.monotonic(), cpu_s()
        with clocked(device, steps):
            found = measured(device, candidates, store)
        total_s, total_cpu_s = time.monotonic() - begun, cpu_s() - cpu
    n = len({one.subject for one in found})
    print(f"{n} networks in {total_s:.0f} s, {sum(one.verdict == 'stable' for one in found)} stable")
    print(f"a network: {total_s / n:.3f} s wall, {total_cpu_s / n:.3f} CPU s, of which")
    for name, seconds in steps.items():
        print(f"  {name:<36} {seconds / n:.3f} s")
    print(f"  {'the rest: layers, store':<36} {(total_s - sum(steps.values())) / n:.3f} s")
    timed_s = sum(sum(one.samples_ms) * one.calls_per_sample for one in found) / 1e3
    print(
        f"its samples alone: {timed_s / n:.3f} s, {np.mean([len(one.samples_ms) for one in found]):.0f} each"
    )


@contextmanager
def clocked(device: Device, steps: dict[str, float]) -> Iterator[None]:
    """Adds up the time spent in each step."""

    def timing(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            begun = time.monotonic()
            try:
                return function(*args, **kwargs)
            finally:
                steps[name] = steps.get(name, 0.0) + time.monotonic() - begun

        return wrapped

    with (
        patch("hwnas.profilers.profile.random_network", timing("random weights", random_network)),
        patch.object(device, "build", timing("build and link", device.build)),
        patch.object(_WorkerMeter, "measure", timing("load, warm up, time", _WorkerMeter.measure)),
    ):
        yield


def cpu_s() -> float:
    """Returns the CPU time of this process and of its children that have ended."""
    return sum(usage.ru_utime + usage.ru_stime for usage in map(getrusage, (RUSAGE_SELF, RUSAGE_CHILDREN)))


if __name__ == "__main__":
    main()
