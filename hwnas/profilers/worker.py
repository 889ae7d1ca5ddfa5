"""The process that measures: `python -m hwnas.profilers.worker RUNNER CORES SETTINGS`.

It imports the runner alone (no torch, whose threads and memory would disturb), pins itself to the
cores, and answers one JSON line on stdin, a group of artefacts, with JSON lines on stdout. It ends
when stdin does, so it never outlives its parent, not even in the middle of a measurement.

RUNNER is a runner module, see `hwnas.profilers.runner`; SETTINGS is the JSON object for its `load`.
CORES is a list with commas, empty where nothing is to be pinned.
"""

import gc
import importlib
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from hwnas.profilers.conditions import between, conditions
from hwnas.profilers.protocol import Protocol, time_group
from hwnas.profilers.runner import Runner


def main() -> None:
    """Serves groups until stdin ends."""
    runner_name, settings = sys.argv[1], json.loads(sys.argv[3])
    cores = [int(core) for core in sys.argv[2].split(",") if core]
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    # Libraries print what they like; standard output is kept for the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    requests: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    if not settings.get("torch"):
        # Some packages import it where they find it.
        sys.modules["torch"] = None  # type: ignore[assignment]
    runner = importlib.import_module(runner_name)

    def load(path: Path) -> Runner:
        loaded: Runner = runner.load(path, settings)
        return loaded

    _say(answers, event="ready")
    while True:
        request = json.loads(requests.get())
        _serve(request, load, cores, answers)


def _listen(requests: "queue.Queue[str]") -> None:
    for line in sys.stdin:
        requests.put(line)
    os._exit(0)


def _serve(
    request: dict[str, Any],
    load: Callable[[Path], Runner],
    cores: list[int],
    answers: IO[str],
) -> None:
    """Measures one group; a subject whose artefact does not load or run is reported and left out."""
    protocol = Protocol(**request["protocol"])
    runners: dict[str, Runner] = {}
    for subject, path in request["artefacts"].items():
        _say(answers, event="loading", subject=subject)
        try:
            loaded = load(Path(path))
            loaded.run()
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            _say(answers, event="failed", subject=subject, reason=reason)
        else:
            runners[subject] = loaded
    if runners:
        before = conditions(cores)
        gc.collect()
        gc.disable()
        clock = _Clock(runners, answers)
        timing = time_group(
            list(runners), clock.time_calls, clock.time_canary, protocol, np.random.default_rng(protocol.seed)
        )
        gc.enable()
        span = between(before, conditions(cores))
        _say(
            answers,
            event="timed",
            series={name: [one.calls, one.samples_ms] for name, one in timing.series.items()},
            canary_ms=timing.drift_ms,
            conditions={**span, "group": len(runners)},
        )
    _say(answers, event="done")


class _Clock:
    """Times calls, and says every second that it is alive."""

    def __init__(self, runners: dict[str, Runner], answers: IO[str]) -> None:
        self._runners = runners
        self._answers = answers
        self._said = time.monotonic()

    def time_calls(self, subject: str, calls: int) -> float:
        """Returns the mean time of a call in ms."""
        mean_ms = self._runners[subject].time_ms(calls)
        if time.monotonic() - self._said > 1:
            self._said = time.monotonic()
            _say(self._answers, event="alive")
        return mean_ms

    def time_canary(self) -> float:
        """Returns the time in ms of a fixed piece of integer work that fits in the first cache."""
        start = time.perf_counter_ns()
        total = 0
        for number in range(5000):
            total = (total * 31 + number) & 0xFFFF
        return (time.perf_counter_ns() - start) / 1e6


def _say(answers: IO[str], **event: Any) -> None:
    answers.write(json.dumps(event) + "\n")


if __name__ == "__main__":
    main()
