"""The conditions of a measurement: what a machine tells about itself, before and after."""

import os
import resource
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

Value = str | int | float | list[int] | None

_CPU = Path("/sys/devices/system/cpu")
_STAT = Path("/proc/stat")
_COUNTERS = ("preempted", "throttled", "stolen_ms", "others_ms")

# Figures of a line of /proc/stat: user, nice, system, then interrupts; and stolen time.
_BUSY = (1, 2, 3, 6, 7)
_STOLEN = (8,)

# Share of the time of all processors that others may take before a measurement feels it.
_OTHERS_SHARE = 0.15
# Preemptions a second: housekeeping takes a core a few times, a busy neighbour a hundred times.
_PREEMPTIONS = 50.0


def conditions(cores: list[int]) -> dict[str, Value]:
    """Returns what may disturb a measurement on these cores; what cannot be read is left out.

    `governor`, `clock_mhz` of the first core, `load_average` (one minute), `cores`, and the counters
    `preempted` (times another process took the core from this one), `throttled` (thermal events),
    `stolen_ms` (time the hypervisor gave the cores to others) and `others_ms` (time that other
    processes took on any core).
    """
    found: dict[str, Value] = {
        "cores": cores,
        "load_average": round(os.getloadavg()[0], 2),
        "preempted": resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw,
        "governor": _text(_CPU / f"cpu{cores[0] if cores else 0}/cpufreq/scaling_governor"),
        "clock_mhz": _clock_mhz(cores[0] if cores else 0),
        "throttled": _total(_CPU / f"cpu{core}/thermal_throttle/core_throttle_count" for core in cores),
        "stolen_ms": _stolen_ms(cores),
        "others_ms": _others_ms(),
    }
    return {name: value for name, value in found.items() if value is not None}


def between(before: Mapping[str, Value], after: Mapping[str, Value]) -> dict[str, Value]:
    """Returns the conditions over a span: counters as differences, the rest as it was before."""
    found = dict(before)
    for name in _COUNTERS:
        first, last = before.get(name), after.get(name)
        if isinstance(first, int | float) and isinstance(last, int | float):
            found[name] = last - first
    return found


class Watch:
    """Looks whether something else runs on this machine; it says no where the system tells nothing."""

    def __init__(self) -> None:
        """Begins to look."""
        self._seen = self._look()

    def something_ran(self) -> bool:
        """Returns whether, since the last look, others took a share of the machine that is felt."""
        before, self._seen = self._seen, self._look()
        wall_s, preempted, others_ms = (now - then for now, then in zip(self._seen, before, strict=True))
        if wall_s <= 0:
            return False
        share = others_ms / (1e3 * wall_s * (os.cpu_count() or 1))
        return share > _OTHERS_SHARE or preempted / wall_s > _PREEMPTIONS

    @staticmethod
    def _look() -> tuple[float, int, float]:
        preempted = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
        stolen_ms = _cpu_ms("cpu", _STOLEN) or 0.0
        return time.monotonic(), preempted, (_others_ms() or 0.0) + stolen_ms


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _total(paths: Iterable[Path]) -> int | None:
    texts = [_text(path) for path in paths]
    numbers = [int(text) for text in texts if text and text.isdigit()]
    return sum(numbers) if numbers else None


def _clock_mhz(core: int) -> float | None:
    """From the frequency driver; else from /proc/cpuinfo, where virtual machines state a nominal one."""
    khz = _text(_CPU / f"cpu{core}/cpufreq/scaling_cur_freq")
    if khz and khz.isdigit():
        return int(khz) / 1e3
    lines = [line for line in (_text(Path("/proc/cpuinfo")) or "").splitlines() if line.startswith("cpu MHz")]
    try:
        return round(float(lines[core].partition(":")[2]), 1)
    except (IndexError, ValueError):
        return None


def _stolen_ms(cores: list[int]) -> float | None:
    times = [_cpu_ms(f"cpu{core}", _STOLEN) for core in cores]
    known = [time_ms for time_ms in times if time_ms is not None]
    return sum(known) if known else None


def _others_ms() -> float | None:
    """What processes other than this one have used of any core."""
    busy_ms = _cpu_ms("cpu", _BUSY)
    if busy_ms is None:
        return None
    own = resource.getrusage(resource.RUSAGE_SELF)
    return round(busy_ms - 1e3 * (own.ru_utime + own.ru_stime), 1)


def _cpu_ms(name: str, figures: tuple[int, ...]) -> float | None:
    """The sum of figures of one line of /proc/stat, which counts in clock ticks."""
    rows = [line.split() for line in (_text(_STAT) or "").splitlines()]
    row = next((row for row in rows if row and row[0] == name and len(row) > max(figures)), None)
    if row is None:
        return None
    return 1e3 * sum(int(row[figure]) for figure in figures) / os.sysconf("SC_CLK_TCK")
