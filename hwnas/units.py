"""Quantities with units, in and out: a bare number never stands for a time, an energy or a size."""

import math
import re

from hwnas.errors import InputError

_TIME_MS = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3, "min": 60e3, "h": 3600e3}
_ENERGY_MJ = {"nJ": 1e-6, "uJ": 1e-3, "µJ": 1e-3, "mJ": 1.0, "J": 1e3}
_SIZE_BYTES = {
    "B": 1.0,
    "kB": 1e3,
    "KB": 1e3,
    "MB": 1e6,
    "GB": 1e9,
    "KiB": 2.0**10,
    "MiB": 2.0**20,
    "GiB": 2.0**30,
}
_QUANTITY = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([A-Za-zµ]*)\s*")


def parse_time_ms(text: str, where: str = "time") -> float:
    """Returns the milliseconds that a text such as `25ms` or `0.9s` stands for.

    Args:
        text: a positive number and one of ns, us, ms, s, min, h.
        where: the name of the option or field, for the error.

    Raises:
        InputError: no unit, an unknown unit, or a figure that is not finite and above zero.
    """
    return _parse(text, where, _TIME_MS, "ms")


def parse_energy_mj(text: str, where: str = "energy") -> float:
    """Returns the millijoules that a text such as `3mJ` stands for; errors as `parse_time_ms`."""
    return _parse(text, where, _ENERGY_MJ, "mJ")


def parse_size_bytes(text: str, where: str = "size") -> float:
    """Returns the bytes that a text such as `4MB` or `4MiB` stands for; errors as `parse_time_ms`."""
    return _parse(text, where, _SIZE_BYTES, "MB")


def format_time_ms(latency_ms: float) -> str:
    """Returns a time for people, three significant digits in the unit that suits: `25ms`, `312us`."""
    return _format(
        latency_ms, (("us", 1e-3, 1.0), ("ms", 1.0, 1e3), ("s", 1e3, 120e3), ("min", 60e3, math.inf))
    )


def format_energy_mj(energy_mj: float) -> str:
    """Returns an energy for people, three significant digits: `312uJ`, `4.2mJ`, `1.1J`."""
    return _format(energy_mj, (("uJ", 1e-3, 1.0), ("mJ", 1.0, 1e3), ("J", 1e3, math.inf)))


def format_size_bytes(size_bytes: float) -> str:
    """Returns a size for people, three significant digits: `812kB`, `1.54MB`."""
    return _format(size_bytes, (("B", 1.0, 1e3), ("kB", 1e3, 1e6), ("MB", 1e6, 1e9), ("GB", 1e9, math.inf)))


def _format(value: float, steps: tuple[tuple[str, float, float], ...]) -> str:
    for unit, factor, below in steps:
        if float(f"{value:.3g}") < below:
            return f"{value / factor:.3g}{unit}"
    return f"{value:.3g}"  # NaN: no step is above it


def _parse(text: str, where: str, units: dict[str, float], example: str) -> float:
    match = _QUANTITY.fullmatch(text)
    known = ", ".join(units)
    if not match:
        raise InputError(f"{where} must be a number with a unit, such as 25{example}, but got '{text}'")
    number, unit = float(match[1]), match[2]
    if not unit:
        raise InputError(
            f"{where} needs a unit: '{text}' could mean anything; "
            f"write {text.strip()}{example} (units: {known})"
        )
    if unit not in units:
        raise InputError(f"{where} has an unknown unit '{unit}' in '{text}'; units: {known}")
    value = number * units[unit]
    if not (math.isfinite(value) and value > 0):
        raise InputError(
            f"{where} must be above zero and finite, but got '{text}'; write for example 25{example}"
        )
    return value
