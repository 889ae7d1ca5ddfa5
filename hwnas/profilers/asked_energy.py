"""Which meter to read: the one that was named, or the first that is usable here; or a model."""

from dataclasses import replace
from pathlib import Path

from hwnas.errors import InputError, UnavailableError
from hwnas.profilers.device import Device
from hwnas.profilers.energy.meter import EnergyMeter
from hwnas.profilers.energy.meters import meter_of, meters_here
from hwnas.profilers.energy.model import EnergyModel, read_energy_model
from hwnas.profilers.energy.settings import EnergySettings


def asked_energy(text: str | None, device: Device) -> EnergySettings | EnergyModel | None:
    """Returns what `--energy TEXT` asks for: a meter to read, or a model to price with; None for None.

    Raises:
        InputError: another text, or a file of constants that cannot be read.
        UnavailableError: as `measured_energy`.
    """
    if text is None:
        return None
    if text == "measured":
        return measured_energy(device)
    if text == "modelled":
        constants = device.energy.constants if device.energy else None
        return read_energy_model(Path(constants) if constants else None)
    raise InputError(f"--energy must be measured or modelled, but got '{text}'")


def measured_energy(device: Device) -> EnergySettings:
    """Returns the settings for measuring a device's energy, its meter named; what `Protocol.energy` takes.

    Raises:
        UnavailableError: no meter here sees what the device uses, or none is usable; nothing is guessed.
        InputError: a window too short for the meter.
    """
    settings = device.energy or EnergySettings()
    kinds = device.energy_meters
    if not kinds:
        raise UnavailableError(
            f"no energy meter of this machine sees what device '{device.name}' uses; "
            "give --energy modelled, or leave it out"
        )
    if settings.meter != "auto":
        kinds = (settings.meter,)
    states = meters_here(settings, kinds)
    for state in states:
        if state.usable:
            _check_window(settings, meter_of(state.name, settings))
            return replace(settings, meter=state.name)
    reasons = "; ".join(f"{state.name}: {state.says}" for state in states)
    raise UnavailableError(
        f"the energy of device '{device.name}' cannot be measured here: {reasons}. "
        "Give --energy modelled, or leave it out"
    )


def _check_window(settings: EnergySettings, meter: EnergyMeter) -> None:
    shortest_s = meter.facts().window_s
    if settings.window_s is not None and settings.window_s < shortest_s:
        raise InputError(
            f"energy.window_s must be at least {shortest_s:g} s for meter '{meter.name}', but got "
            f"{settings.window_s:g}; make it longer or leave it out"
        )
