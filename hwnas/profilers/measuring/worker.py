"""The process that measures: `python -m hwnas.profilers.measuring.worker RUNNER CORES SETTINGS`.

It imports the runner alone (no torch, whose threads and memory would disturb), pins itself to the
cores, and answers one JSON line on stdin, a group of artefacts, with JSON lines on stdout. It ends
when stdin does, so it never outlives its parent, not even in the middle of a measurement.

A request holds `artefacts` by subject, the `canary`'s path or null, and the `protocol`; or
`breakdown`, the path of an artefact. Answers are events: `loading`, `loaded`, `failed`, `alive`,
`timed`, `energy`, `breakdown`, and `done` at the end of each request; `unavailable` where the
device itself is gone.

RUNNER is a runner module, see `hwnas.profilers.measuring.runner`; SETTINGS is the JSON object for its `load`.
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
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np

from hwnas.errors import HwnasError, UnavailableError
from hwnas.profilers.energy.settings import EnergySettings
from hwnas.profilers.machine.conditions import Watch, between, conditions
from hwnas.profilers.measuring.protocol import Protocol
from hwnas.profilers.measuring.runner import Runner
from hwnas.profilers.measuring.timing import Timing, time_group

# The canary among the subjects, whose keys are longer.
_CANARY = "canary"
_BREAKDOWN_MS = 20.0
_BREAKDOWN_ROUNDS = 10


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
        if "breakdown" in request:
            _break_down(Path(request["breakdown"]), load, answers)
        else:
            _measure(request, load, settings, cores, answers)
        _say(answers, event="done")


def _listen(requests: "queue.Queue[str]") -> None:
    for line in sys.stdin:
        requests.put(line)
    os._exit(0)


def _measure(
    request: dict[str, Any],
    load: Callable[[Path], Runner],
    settings: Mapping[str, Any],
    cores: list[int],
    answers: IO[str],
) -> None:
    """Measures one group; a subject whose artefact does not load or run is reported and left out."""
    protocol = _protocol(request["protocol"])
    loads, canary_loads = (protocol.loads, protocol.canary_loads) if settings.get("reload") else (1, 1)
    runners = {
        subject: runner
        for subject, path in request["artefacts"].items()
        if (runner := _loaded(subject, path, loads, load, answers))
    }
    if not runners:
        return
    path = request["canary"]
    canary = _loaded(_CANARY, path, canary_loads, load, answers) if path else []
    # What is timed elsewhere says nothing of this machine.
    here = settings.get("here", True)
    before = conditions(cores) if here else {}
    watch = Watch() if here else None
    clock = _Clock({**runners, _CANARY: canary}, answers)
    gc.collect()
    gc.disable()
    timing = time_group(
        list(runners),
        clock.time_calls,
        protocol,
        np.random.default_rng(protocol.seed),
        loads=loads,
        canary=_CANARY if canary else None,
        canary_loads=canary_loads,
        reference_ms=request["reference_ms"],
        something_ran=watch.something_ran if watch else lambda: False,
    )
    gc.enable()
    span = between(before, conditions(cores)) if here else {}
    disturbed = timing.disturbed(protocol.canary_jump)
    _say(
        answers,
        event="timed",
        series={name: _series(timing, name, protocol, disturbed) for name in runners},
        reference_ms=timing.reference_ms,
        drift_ms=timing.drift_ms,
        loads=loads,
        conditions={**span, "group": len(runners), "loads": loads},
        of_subjects={name: dict(runner.conditions()) for name, (runner, *_) in runners.items()},
    )
    if protocol.energy:
        latency_ms = {name: float(np.median(timing.series[name].samples_ms)) for name in runners}
        _say(answers, event="energy", subjects=_energy(runners, latency_ms, protocol.energy, clock))


def _protocol(fields: dict[str, Any]) -> Protocol:
    energy = fields["energy"] and EnergySettings(**fields["energy"])
    return Protocol(**{**fields, "energy": energy})


def _energy(
    runners: Mapping[str, list[Runner]],
    latency_ms: Mapping[str, float],
    settings: EnergySettings,
    clock: "_Clock",
) -> dict[str, dict[str, Any]]:
    """The energy fields of each subject; where the meter fails, the reason in their place."""
    from hwnas.profilers.energy.measure import measure_energy
    from hwnas.profilers.energy.meters import meter_of

    subjects = {name: runner.time_ms for name, (runner, *_) in runners.items()}
    meter = meter_of(settings.meter, settings)
    try:
        return measure_energy(subjects, latency_ms, meter, settings, clock.alive)
    except HwnasError as error:
        return {name: {"energy": {"reason": str(error)}} for name in runners}


def _loaded(
    subject: str, path: str, loads: int, load: Callable[[Path], Runner], answers: IO[str]
) -> list[Runner]:
    """The runners of an artefact, each has run once; none, and it is said why, where it cannot."""
    _say(answers, event="loading", subject=subject)
    runners = []
    try:
        for _ in range(loads):
            runners.append(load(Path(path)))
            runners[-1].run()
    except UnavailableError as error:
        _say(answers, event="unavailable", reason=str(error))
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        _say(answers, event="failed", subject=subject, reason=reason)
        return []
    _say(answers, event="loaded", subject=subject)
    return runners


def _series(timing: Timing, name: str, protocol: Protocol, disturbed: Collection[int]) -> dict[str, Any]:
    """What is told of one subject; times to a nanosecond, clocks tell no more."""
    around = timing.canary_around(name)
    return {
        "calls": timing.series[name].calls,
        "samples_ms": [round(sample, 6) for sample in timing.series[name].samples_ms],
        "canary_ms": [] if around is None else np.round(around, 6).tolist(),
        "counted": asdict(timing.counted(name, protocol, disturbed)),
    }


def _break_down(path: Path, load: Callable[[Path], Runner], answers: IO[str]) -> None:
    """Tells the time of each operation and of the whole, taken in turns: medians of some rounds."""
    loaded = _loaded(str(path), str(path), 1, load, answers)
    if not loaded:
        return
    (runner,) = loaded
    calls = max(1, int(np.ceil(_BREAKDOWN_MS / runner.time_ms(3))))
    parts: dict[str, list[float]] = {}
    whole: list[float] = []
    for _ in range(_BREAKDOWN_ROUNDS):
        whole.append(runner.time_ms(calls))
        found = runner.breakdown(calls)
        if found is None:
            return
        for name, time_ms in found.items():
            parts.setdefault(name, []).append(time_ms)
        _say(answers, event="alive")
    medians = {name: float(np.median(times)) for name, times in parts.items()}
    _say(answers, event="breakdown", parts=medians, whole_ms=float(np.median(whole)))


class _Clock:
    """Times calls, and says every second that it is alive."""

    def __init__(self, runners: dict[str, list[Runner]], answers: IO[str]) -> None:
        self._runners = runners
        self._answers = answers
        self._said = time.monotonic()

    def time_calls(self, subject: str, load: int, calls: int) -> float:
        """Returns the mean time of a call in ms."""
        mean_ms = self._runners[subject][load].time_ms(calls)
        self.alive()
        return mean_ms

    def alive(self) -> None:
        """Says so, if it was not said for a second."""
        if time.monotonic() - self._said > 1:
            self._said = time.monotonic()
            _say(self._answers, event="alive")


def _say(answers: IO[str], **event: Any) -> None:
    answers.write(json.dumps(event) + "\n")


if __name__ == "__main__":
    main()
