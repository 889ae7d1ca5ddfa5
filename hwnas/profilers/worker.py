"""The process that measures: `python -m hwnas.profilers.worker RUNNER CORES THREADS`.

It imports the runner alone (no torch, whose threads and memory would disturb), pins itself to the
cores, and answers one JSON line on stdin, a group of artefacts, with JSON lines on stdout. It ends
when stdin does, so it never outlives its parent, not even in the middle of a measurement.

RUNNER is a module with `load(path: Path, threads: int) -> Callable[[], object]`, which returns a
function that runs an artefact once on an input of its own and waits for the result.
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

Call = Callable[[], object]


def main() -> None:
    """Serves groups until stdin ends."""
    runner_name, cores, threads = (
        sys.argv[1],
        [int(core) for core in sys.argv[2].split(",")],
        int(sys.argv[3]),
    )
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    # Libraries print what they like; standard output is kept for the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    requests: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    sys.modules["torch"] = None  # type: ignore[assignment]  # some packages import it where they find it
    load = importlib.import_module(runner_name).load
    _say(answers, event="ready")
    while True:
        request = json.loads(requests.get())
        _serve(request, load, cores, threads, answers)


def _listen(requests: "queue.Queue[str]") -> None:
    for line in sys.stdin:
        requests.put(line)
    os._exit(0)


def _serve(
    request: dict[str, Any],
    load: Callable[[Path, int], Call],
    cores: list[int],
    threads: int,
    answers: IO[str],
) -> None:
    """Measures one group; a subject whose artefact does not load or run is reported and left out."""
    protocol = Protocol(**request["protocol"])
    calls: dict[str, Call] = {}
    for subject, path in request["artefacts"].items():
        _say(answers, event="loading", subject=subject)
        try:
            call = load(Path(path), threads)
            call()
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            _say(answers, event="failed", subject=subject, reason=reason)
        else:
            calls[subject] = call
    if calls:
        before = conditions(cores)
        gc.collect()
        gc.disable()
        clock = _Clock(calls, answers)
        timing = time_group(
            list(calls), clock.time_calls, clock.time_canary, protocol, np.random.default_rng(protocol.seed)
        )
        gc.enable()
        span = between(before, conditions(cores))
        _say(
            answers,
            event="timed",
            series={name: [one.calls, one.samples_ms] for name, one in timing.series.items()},
            canary_ms=timing.drift_ms,
            conditions={**span, "threads": threads, "group": len(calls)},
        )
    _say(answers, event="done")


class _Clock:
    """Times calls, and says every second that it is alive."""

    def __init__(self, calls: dict[str, Call], answers: IO[str]) -> None:
        self._calls = calls
        self._answers = answers
        self._said = time.monotonic()

    def time_calls(self, subject: str, calls: int) -> float:
        """Returns the mean time of a call in ms."""
        call = self._calls[subject]
        start = time.perf_counter_ns()
        for _ in range(calls):
            call()
        end = time.perf_counter_ns()
        if time.monotonic() - self._said > 1:
            self._said = time.monotonic()
            _say(self._answers, event="alive")
        return (end - start) / calls / 1e6

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
