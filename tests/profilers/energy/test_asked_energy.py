"""Which meter is read for which device, and what is said where there is none."""

from pathlib import Path
from typing import Any, cast

import pytest

from hwnas.errors import InputError, UnavailableError
from hwnas.profilers import get_device
from hwnas.profilers.asked_energy import asked_energy, measured_energy
from hwnas.profilers.device import Device
from hwnas.profilers.energy.meters import METERS, meters_here
from hwnas.profilers.energy.model import EnergyModel
from hwnas.profilers.energy.settings import EnergySettings
from tests.profilers.energy.conftest import Sysfs


class Board:
    """As much of a device as the choice looks at."""

    name = "board"

    def __init__(self, *meters: str, **fields: Any) -> None:
        self.energy_meters = meters
        self.energy = EnergySettings(**fields)


def board(*meters: str, **fields: Any) -> Device:
    return cast(Device, Board(*meters, **fields))


def test_the_first_usable_meter_is_taken_and_named(sysfs: Sysfs) -> None:
    sysfs.hwmon("hwmon0", "ina260_u14", power1_input=4_300_000)
    found = measured_energy(board("rapl", "hwmon", sysfs=str(sysfs.root), repeats=5))
    assert (found.meter, found.repeats) == ("hwmon", 5)
    states = {one.name: one for one in meters_here(found, ("rapl", "hwmon"))}
    assert states["hwmon"].usable
    assert "ina260_u14/1" in states["hwmon"].says
    assert not states["rapl"].usable
    assert "virtual machines" in states["rapl"].says


def test_without_a_usable_meter_every_reason_is_said_in_one_line(sysfs: Sysfs) -> None:
    with pytest.raises(UnavailableError) as refused:
        measured_energy(board("rapl", "hwmon", sysfs=str(sysfs.root)))
    said = str(refused.value)
    assert "'board' cannot be measured here: rapl: " in said
    assert "hwmon: " in said
    assert "--energy modelled" in said
    assert "\n" not in said


def test_a_meter_that_was_named_is_not_replaced_by_another(sysfs: Sysfs) -> None:
    sysfs.hwmon("hwmon0", "ina260_u14", power1_input=4_300_000)
    with pytest.raises(UnavailableError, match="rapl: "):
        measured_energy(board("rapl", "hwmon", meter="rapl", sysfs=str(sysfs.root)))


def test_a_window_too_short_for_the_meter_is_refused(sysfs: Sysfs) -> None:
    sysfs.hwmon("hwmon0", "ina260_u14", power1_input=4_300_000)
    with pytest.raises(InputError, match=r"window_s must be at least 5 s for meter 'hwmon', but got 0\.5"):
        measured_energy(board("hwmon", window_s=0.5, sysfs=str(sysfs.root)))


def test_devices_that_no_meter_here_sees_are_refused() -> None:
    with pytest.raises(UnavailableError, match="no energy meter of this machine sees what device 'fpga"):
        asked_energy("measured", get_device("fpga-zcu102-dpu"))


def test_a_model_is_read_before_anything_is_measured(tmp_path: Path) -> None:
    device = get_device("fpga-zcu102-dpu")
    assert asked_energy(None, device) is None
    assert isinstance(asked_energy("modelled", device), EnergyModel)
    with pytest.raises(InputError, match="cannot read the constants"):
        asked_energy("modelled", board("rapl", constants=str(tmp_path / "none.yaml")))
    with pytest.raises(InputError, match="--energy must be measured or modelled, but got 'guessed'"):
        asked_energy("guessed", device)


def test_every_meter_says_something_whatever_machine_this_is() -> None:
    states = meters_here()
    assert tuple(one.name for one in states) == METERS
    assert all(one.says for one in states)


@pytest.mark.parametrize(
    "fields", [{"index": -1}, {"window_s": 0.0}, {"repeats": 1}, {"interval_ms": 0.1}, {"interval_ms": 1e4}]
)
def test_settings_that_cannot_be_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        EnergySettings(**fields)


def test_pydantic_reads_settings_as_part_of_a_file() -> None:
    from pydantic import BaseModel, ValidationError

    class File(BaseModel):
        energy: EnergySettings | None = None

    read = File.model_validate({"energy": {"meter": "hwmon", "rails": ["a", "b"], "window_s": 5}})
    assert read.energy == EnergySettings(meter="hwmon", rails=("a", "b"), window_s=5.0)
    with pytest.raises(ValidationError, match="metre"):
        File.model_validate({"energy": {"metre": "rapl"}})
    with pytest.raises(ValidationError, match="repeats must be at least 2"):
        File.model_validate({"energy": {"repeats": 1}})
