"""The meters by name, and which of them can be read here."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hwnas.profilers.energy.hwmon import HwmonMeter
from hwnas.profilers.energy.meter import EnergyMeter
from hwnas.profilers.energy.nvml import NvmlMeter
from hwnas.profilers.energy.rapl import RaplMeter
from hwnas.profilers.energy.settings import EnergySettings, MeterName
from hwnas.profilers.measurement import Measurement

METERS: tuple[MeterName, ...] = ("rapl", "nvml", "hwmon")


class MeterState(NamedTuple):
    """A meter as `hwnas devices` shows it: `says` is its boundary, or why it is not usable here."""

    name: MeterName
    usable: bool
    says: str


def meters_here(
    settings: EnergySettings | None = None, kinds: Sequence[MeterName] = METERS
) -> list[MeterState]:
    """Returns the meters of these kinds; those that are usable here say what they include."""
    found = []
    for kind in kinds:
        meter = meter_of(kind, settings or EnergySettings())
        reason = meter.unavailable()
        found.append(MeterState(kind, reason is None, reason or meter.facts().boundary))
    return found


def meter_of(kind: MeterName, settings: EnergySettings) -> EnergyMeter:
    """Returns the meter of a kind, one of `METERS`."""
    if kind == "rapl":
        return RaplMeter(Path(settings.sysfs))
    if kind == "nvml":
        return NvmlMeter(settings.index, settings.interval_ms)
    assert kind == "hwmon", kind
    return HwmonMeter(settings)


def has_energy(one: Measurement, settings: EnergySettings) -> bool:
    """Returns whether a measurement's energy was taken so: this meter, the same boundary, idle power alike.

    One that was tried and did not rise above idle counts: trying again gives the same.

    Raises:
        UnavailableError: the meter is not here.
    """
    about = one.energy or {}
    wanted = {
        "source": "measured",
        "meter": settings.meter,
        "boundary": meter_of(settings.meter, settings).facts().boundary,
        "idle_subtracted": settings.subtract_idle,
    }
    return all(about.get(name) == value for name, value in wanted.items())
