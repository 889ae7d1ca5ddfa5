"""Measuring files: the steadiest of a few measurements, while the machine is unsteady."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from hwnas.profilers import Device, Measurement, Protocol

# Measurements of a file at most, while the machine is unsteady.
_ATTEMPTS = 3


def measure_files(
    device: Device, files: Mapping[str, Path], protocol: Protocol, canary_reference_ms: float | None
) -> list[Measurement]:
    """Returns the steadiest of a few measurements of each file, all files in turns.

    While the machine changes its speed, what is measured is the machine: those files are
    measured again, and of several unsteady measurements the one at the highest speed counts.
    """
    best: dict[str, Measurement] = {}
    for _ in range(_ATTEMPTS):
        again = {subject: files[subject] for subject in files if not _is_steady(best.get(subject))}
        if not again:
            break
        together = replace(protocol, group_size=len(again))
        for one in device.measure_artefacts(again, together, canary_reference_ms=canary_reference_ms):
            former = best.get(one.subject)
            if former is None or _is_steady(one) or _canary_ms(one) < _canary_ms(former):
                best[one.subject] = one
    return [best[subject] for subject in files]


def _is_steady(one: Measurement | None) -> bool:
    return one is not None and one.verdict == "stable"


def _canary_ms(one: Measurement) -> float:
    """How slow the machine was at its slowest; 0 where nothing was timed."""
    return max(one.canary_ms) if one.canary_ms else 0.0
