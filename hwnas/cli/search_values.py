"""What the texts of a search's options stand for."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.cli.options import usable_device
from hwnas.errors import InputError, UnavailableError
from hwnas.units import format_energy_mj, format_size_bytes, format_time_ms, parse_time_ms

if TYPE_CHECKING:
    from hwnas.profilers import Device
    from hwnas.progress import Progress
    from hwnas.search.settings import SearchSettings
    from hwnas.spaces import Space

# Both runtimes of this machine; one that is not usable here is left out, and that is said.
_DEFAULT_DEVICES = ("cpu", "cpu-ort")

Named = tuple[str, float | None]
"""A name and the target in ms that was given with it."""


def split_target(text: str, option: str) -> Named:
    """Returns the name and the target in ms of `NAME=4ms`; None where there is no target.

    Raises:
        InputError: a target without a unit, or not above zero.
    """
    name, equals, tail = text.rpartition("=")
    # A path may hold the sign: only what begins like a number is a target.
    if (
        not equals
        or not re.match(r"\s*[+-]?\.?\d", tail)
        or tail.endswith((".csv", ".yaml", ".yml", ".json"))
    ):
        return text, None
    return name, parse_time_ms(tail, f"{option} {name}=")


def objectives(text: str | None) -> tuple[str, ...] | None:
    """Returns the objectives of a text such as `accuracy,latency`; None for None.

    Raises:
        InputError: a word that is none.
    """
    from hwnas.search.settings import OBJECTIVES

    if text is None:
        return None
    names = [part.strip() for part in text.split(",")]
    unknown = [name for name in names if name not in OBJECTIVES]
    if unknown:
        raise InputError(f"--objectives must be of {', '.join(OBJECTIVES)}, but got '{unknown[0]}'")
    return tuple(OBJECTIVES[name] for name in names)


def chosen_devices(names: list[str], space: "Space", progress: "Progress") -> "list[Device]":
    """Returns the devices that were asked for, or those of the usual ones that are usable here.

    Raises:
        InputError: two of one name.
        UnavailableError: one that was asked for, or all of the usual ones, cannot run here.
    """
    if names:
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is None:
            chosen = [usable_device(name, space) for name in names]
            shown = [device.name for device in chosen]
            twice = next((name for name in shown if shown.count(name) > 1), None)
        if twice:
            raise InputError(f"--device must give each name once, but two are called '{twice}'; rename one")
        return chosen
    found = []
    for name in _DEFAULT_DEVICES:
        try:
            found.append(usable_device(name, space))
        except UnavailableError as error:
            progress.say(f"going on without {name}: {error}")
    if not found:
        raise UnavailableError(
            f"none of {', '.join(_DEFAULT_DEVICES)} is usable here; `hwnas devices` says what would help"
        )
    return found


def usual_folder(space: str, settings: "SearchSettings", ending: str = "") -> Path:
    """Returns the run folder of a search whose user names none."""
    targets = dict.fromkeys(settings.device_targets_ms.values())
    parts = [
        format_time_ms(ms) for ms in ([settings.target_latency_ms] if settings.target_latency_ms else targets)
    ]
    parts += [format_energy_mj(settings.target_energy_mj)] if settings.target_energy_mj else []
    parts += [
        format_size_bytes(size) for size in (settings.max_size_bytes, settings.max_memory_bytes) if size
    ]
    return Path("runs") / f"{'-'.join([space, *(parts or ['front'])])}{ending}"
