"""The conditions of a measurement: what a machine tells about itself, before and after."""

import os
import resource
from collections.abc import Iterable, Mapping
from pathlib import Path

Value = str | int | float | list[int] | None

_CPU = Path("/sys/devices/system/cpu")


def conditions(cores: list[int]) -> dict[str, Value]:
    """Returns what may disturb a measurement on these cores; what cannot be read is left out.

    `governor`, `load_average` (one minute), `cores`, and the counters `preempted` (times another
    process took the core from this one), `throttled` (thermal events) and `stolen_ms` (time the
    hypervisor gave the cores to others).
    """
    found: dict[str, Value] = {
        "cores": cores,
        "load_average": round(os.getloadavg()[0], 2),
        "preempted": resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw,
        "governor": _text(_CPU / f"cpu{cores[0] if cores else 0}/cpufreq/scaling_governor"),
        "throttled": _total(_CPU / f"cpu{core}/thermal_throttle/core_throttle_count" for core in cores),
        "stolen_ms": _stolen_ms(cores),
    }
    return {name: value for name, value in found.items() if value is not None}


def between(before: Mapping[str, Value], after: Mapping[str, Value]) -> dict[str, Value]:
    """Returns the conditions over a span: counters as differences, the rest as it was before."""
    found = dict(before)
    for name in ("preempted", "throttled", "stolen_ms"):
        first, last = before.get(name), after.get(name)
        if isinstance(first, int | float) and isinstance(last, int | float):
            found[name] = last - first
    return found


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _total(paths: Iterable[Path]) -> int | None:
    texts = [_text(path) for path in paths]
    numbers = [int(text) for text in texts if text and text.isdigit()]
    return sum(numbers) if numbers else None


def _stolen_ms(cores: list[int]) -> float | None:
    """From /proc/stat, whose eighth figure of a core is stolen time in clock ticks."""
    text = _text(Path("/proc/stat"))
    if text is None:
        return None
    wanted = {f"cpu{core}" for core in cores}
    rows = [line.split() for line in text.splitlines() if line.split(" ", 1)[0] in wanted]
    ticks = [int(row[8]) for row in rows if len(row) > 8]
    return 1000 * sum(ticks) / os.sysconf("SC_CLK_TCK") if ticks else None
