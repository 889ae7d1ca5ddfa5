"""What does each step of the main job cost in CPU time and memory?

    python benchmarks/footprint.py [--target 25ms] [--out figures.json] [OPTIONS OF hwnas search]

Runs `hwnas search` with its defaults, or with the options given, in this process, in an empty folder
with a store of its own; the kernel cache (HWNAS_HOME) is what the environment says. CPU seconds are of
this process and of what it started; each second counts for the innermost step. Memory is the resident
set of all of these processes together, looked at ten times a second, at its most within the step.
Shared pages count once for each process.
"""

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil

# Step -> the functions in which it is spent: module, owner ("" for the module itself), name.
STEPS = {
    "compile kernels": [("hwnas.profilers.tvm.device", "TvmDevice", "prepare")],
    "measure networks": [("hwnas.export.road", "", "profile")],
    "evaluate accuracies": [("hwnas.search.truth", "Accuracies", "learn")],
    "fit predictors": [("hwnas.search.state", "State", "fit")],
    "choose what else to measure": [("hwnas.search.loop", "", "measure_what_tells")],
    "search on predictors": [("hwnas.search.proposals", "Inner", "run")],
    "write and check files": [("hwnas.export.finish", "Finish", "_one")],
    "measure files": [
        ("hwnas.export.finish", "Finish", "_measure"),
        ("hwnas.export.finish", "Finish", "_float_twins"),
    ],
    "test baselines": [("hwnas.export.road", "Road", "_compare")],
    "write the page": [("hwnas.report", "", "write_report")],
}


@dataclass
class Cost:
    """What a step has cost so far."""

    cpu_s: float = 0.0
    wall_s: float = 0.0
    most_bytes: int = 0
    times: int = 0


class Ledger:
    """Books CPU time, wall time and memory on the innermost step that runs."""

    def __init__(self) -> None:
        self.costs = {name: Cost() for name in ["start and the rest", *STEPS]}
        self._running = ["start and the rest"]
        self._me = psutil.Process()
        self._ended_s = 0.0
        self._living_s: dict[psutil.Process, float] = {}
        self._last = self._cpu_s(), time.monotonic()
        self._lock = threading.Lock()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Books what happens inside on a step."""
        self.book()
        self._running.append(name)
        self.costs[name].times += 1
        try:
            yield
        finally:
            self.book()
            self._running.pop()

    def book(self) -> None:
        """Books what was spent since the last time."""
        with self._lock:
            now = self._cpu_s(), time.monotonic()
            cost = self.costs[self._running[-1]]
            cost.cpu_s += now[0] - self._last[0]
            cost.wall_s += now[1] - self._last[1]
            cost.most_bytes = max(cost.most_bytes, self._bytes)
            self._last = now

    def watch(self, stopped: threading.Event) -> None:
        """Books ten times a second, so that no short-lived process and no peak is missed."""
        while not stopped.wait(0.1):
            self.book()

    def _cpu_s(self) -> float:
        """Of this process and all that it ever started, those seen alive at least once."""
        self._bytes = 0
        living: dict[psutil.Process, float] = {}
        for process in [self._me, *self._me.children(recursive=True)]:
            with suppress(psutil.Error), process.oneshot():
                spent = process.cpu_times()
                living[process] = spent.user + spent.system
                self._bytes += process.memory_info().rss
        self._ended_s += sum(s for process, s in self._living_s.items() if process not in living)
        self._living_s = living
        return self._ended_s + sum(living.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", default="25ms")
    parser.add_argument("--out", type=Path, default=None)
    arguments, others = parser.parse_known_args()
    words = ["search", "--target-latency", arguments.target, "--store", "store.sqlite", *others]
    ledger, before = Ledger(), Path.cwd()
    with tempfile.TemporaryDirectory() as folder, booked(ledger):
        os.chdir(folder)
        from hwnas.cli.main import main as hwnas

        with patch.object(sys, "argv", ["hwnas", *words]), suppress(SystemExit):
            hwnas()
        os.chdir(before)
    show(ledger.costs)
    if arguments.out:
        arguments.out.write_text(
            json.dumps({name: asdict(cost) for name, cost in ledger.costs.items()}, indent=1)
        )


@contextmanager
def booked(ledger: Ledger) -> Iterator[None]:
    """Every step is booked while the context lasts."""
    stopped = threading.Event()
    watcher = threading.Thread(target=ledger.watch, args=(stopped,), daemon=True)
    with ExitStack() as stack:
        watcher.start()
        for step, places in STEPS.items():
            for module, owner, name in places:
                home = getattr(import_module(module), owner) if owner else import_module(module)
                stack.enter_context(patch.object(home, name, booking(ledger, step, getattr(home, name))))
        yield
        stopped.set()
        watcher.join()
        ledger.book()


def booking(ledger: Ledger, step: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the function, whose calls are booked on a step."""

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with ledger.step(step):
            return function(*args, **kwargs)

    return wrapped


def show(costs: dict[str, Cost]) -> None:
    """Prints a table, the heaviest first."""
    total = sum(cost.cpu_s for cost in costs.values())
    print("| step | CPU s | share | wall s | most memory |")
    print("|---|---|---|---|---|")
    for name, cost in sorted(costs.items(), key=lambda item: -item[1].cpu_s):
        share, memory = cost.cpu_s / total, cost.most_bytes / 1e6
        print(f"| {name} | {cost.cpu_s:.1f} | {share:.0%} | {cost.wall_s:.0f} | {memory:.0f} MB |")
    wall, most = sum(cost.wall_s for cost in costs.values()), max(cost.most_bytes for cost in costs.values())
    print(f"| all | {total:.1f} | | {wall:.0f} | {most / 1e6:.0f} MB |")


if __name__ == "__main__":
    main()
