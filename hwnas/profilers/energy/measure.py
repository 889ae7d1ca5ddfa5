"""Energy of one inference: what a meter counts while a network runs in a steady loop.

Source: Yang et al., "Part-time Power Measurements", 2024 (arXiv 2312.02741): windows of seconds under
a steady load, repeated, since meters average, lag and skip.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hwnas.errors import MeasurementError
from hwnas.profilers.energy.meter import EnergyMeter, ReadEnergy
from hwnas.profilers.energy.settings import EnergySettings

# Returns when it has run so many inferences in a row.
RunCalls = Callable[[int], object]

# Threads that spin after a call and clocks that follow the load come to rest, or to speed.
_REST_S, _LEAD_S = 1.0, 0.2
# Inferences between two looks at the clock, and the longest sleep between two signs of life.
_CHUNK_MS, _NAP_S = 20.0, 0.5


def measure_energy(
    subjects: Mapping[str, RunCalls],
    latency_ms: Mapping[str, float],
    meter: EnergyMeter,
    settings: EnergySettings,
    on_alive: Callable[[], None],
    *,
    now: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, dict[str, Any]]:
    """Returns the fields `energy_mj`, `energy_source` and `energy` of each subject's measurement.

    First the machine's idle power over a window, then in turns a window of each subject, as often as
    `settings.repeats` says. A subject that does not rise above idle gets no energy, and a reason.

    Args:
        subjects: how to run each.
        latency_ms: about how long one inference of each takes.
        meter: what tells the energy.
        settings: window, repeats, whether idle is taken off.
        on_alive: called every now and then.
        now, sleep: the clock.

    Raises:
        UnavailableError: the meter cannot be read any more.
        MeasurementError: it stood still.
    """
    facts = meter.facts()
    window_s = settings.window_s or facts.window_s
    bench = _Bench(on_alive, now, sleep)
    taken: dict[str, list[tuple[float, float, int]]] = {subject: [] for subject in subjects}
    with meter.opened() as read:
        idle_mw = bench.idle_mw(read, window_s)
        if idle_mw <= 0:
            raise MeasurementError(
                f"energy meter '{meter.name}' stood still for {window_s:g} s; name another one, or leave "
                "--energy out"
            )
        for _ in range(settings.repeats):
            for subject, run in subjects.items():
                chunk = max(1, round(_CHUNK_MS / latency_ms[subject]))
                bench.window(run, chunk, _LEAD_S, read)
                taken[subject].append(bench.window(run, chunk, window_s, read))
    about = {
        "source": "measured",
        "meter": meter.name,
        "meter_source": facts.source,
        "boundary": facts.boundary,
        "window_s": window_s,
        "repeats": settings.repeats,
        "idle_mw": idle_mw,
        "idle_subtracted": settings.subtract_idle,
    }
    return {subject: _fields(windows, about) for subject, windows in taken.items()}


def _fields(windows: list[tuple[float, float, int]], about: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a measurement from windows of (energy in mJ, seconds, inferences)."""
    energy, seconds, calls = (np.array(column, dtype=np.float64) for column in zip(*windows, strict=True))
    taken_off = about["idle_mw"] * seconds if about["idle_subtracted"] else 0.0
    each = (energy - taken_off) / calls
    mean = float(each.mean())
    power_mw = float(energy.sum() / seconds.sum())
    found = {**about, "power_mw": power_mw, "inferences": int(calls.sum())}
    if mean <= 0:
        idle = f"the {about['idle_mw']:.4g} mW of an idle machine"
        says = f"running it takes {power_mw:.4g} mW, no more than {idle}"
        return {"energy_mj": None, "energy_source": None, "energy": {**found, "reason": says}}
    cv_percent = 100 * float(each.std(ddof=1)) / mean
    return {
        "energy_mj": mean,
        "energy_source": "measured",
        "energy": {**found, "cv_percent": cv_percent},
    }


class _Bench:
    """A clock and its signs of life."""

    def __init__(
        self, on_alive: Callable[[], None], now: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        self._on_alive, self._now, self._sleep = on_alive, now, sleep

    def idle_mw(self, read: ReadEnergy, window_s: float) -> float:
        """The mean power while nothing is run."""
        self._wait(_REST_S)
        energy, begun = read(), self._now()
        self._wait(window_s)
        energy, spent = read() - energy, self._now() - begun
        return energy / spent

    def window(
        self, run: RunCalls, chunk: int, window_s: float, read: ReadEnergy
    ) -> tuple[float, float, int]:
        """Runs for so long; returns the energy in mJ, the seconds and how many inferences it was."""
        calls = 0
        energy, begun = read(), self._now()
        while self._now() - begun < window_s:
            run(chunk)
            calls += chunk
            self._on_alive()
        energy, spent = read() - energy, self._now() - begun
        return energy, spent, calls

    def _wait(self, seconds: float) -> None:
        end = self._now() + seconds
        while (left := end - self._now()) > 0:
            self._sleep(min(left, _NAP_S))
            self._on_alive()
