"""The measuring function on a machine of known power, by its own clock."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from hwnas.errors import MeasurementError
from hwnas.profilers.energy.measure import measure_energy
from hwnas.profilers.energy.meter import EnergyMeter, MeterFacts, ReadEnergy
from hwnas.profilers.energy.settings import EnergySettings


class Machine(EnergyMeter):
    """A machine and its meter: 10 W idle, more while something runs."""

    name = "rapl"

    def __init__(self, idle_mw: float = 10_000.0, noise: float = 0.0) -> None:
        self.now_s, self.energy_mj, self.idle_mw = 0.0, 0.0, idle_mw
        self.rng, self.noise = np.random.default_rng(0), noise
        self.signs = 0

    def facts(self) -> MeterFacts:
        return MeterFacts("a machine", "the machine", 1.0)

    @contextmanager
    def opened(self) -> Iterator[ReadEnergy]:
        yield lambda: self.energy_mj

    def spend(self, seconds: float, power_mw: float) -> None:
        self.now_s += seconds
        self.energy_mj += power_mw * seconds * (1 + self.noise * self.rng.standard_normal())

    def sleep(self, seconds: float) -> None:
        self.spend(seconds, self.idle_mw)

    def network(self, latency_ms: float, power_mw: float) -> Callable[[int], object]:
        return lambda calls: self.spend(calls * latency_ms / 1e3, power_mw)

    def alive(self) -> None:
        self.signs += 1


def measured(machine: Machine, settings: EnergySettings, **networks: tuple[float, float]) -> dict[str, dict]:
    return measure_energy(
        {name: machine.network(*one) for name, one in networks.items()},
        {name: latency_ms for name, (latency_ms, _) in networks.items()},
        machine,
        settings,
        machine.alive,
        now=lambda: machine.now_s,
        sleep=machine.sleep,
    )


def test_idle_power_is_taken_off() -> None:
    machine = Machine()
    found = measured(machine, EnergySettings(), a=(2.0, 25_000.0), b=(30.0, 12_000.0))
    assert found["a"]["energy_mj"] == pytest.approx(15_000 * 0.002)
    assert found["b"]["energy_mj"] == pytest.approx(2_000 * 0.030)
    assert found["a"]["energy_source"] == "measured"
    about = found["a"]["energy"]
    assert about["idle_mw"] == pytest.approx(10_000)
    assert about["power_mw"] == pytest.approx(25_000)
    assert about["idle_subtracted"] is True
    assert (about["source"], about["meter"], about["boundary"]) == ("measured", "rapl", "the machine")
    assert (about["window_s"], about["repeats"]) == (1.0, 3)
    assert about["inferences"] >= 3 * 500
    assert about["cv_percent"] == pytest.approx(0, abs=1e-6)


def test_idle_power_is_kept_where_it_is_wanted() -> None:
    found = measured(Machine(), EnergySettings(subtract_idle=False), a=(2.0, 25_000.0))
    assert found["a"]["energy_mj"] == pytest.approx(25_000 * 0.002)
    assert found["a"]["energy"]["idle_mw"] == pytest.approx(10_000)
    assert found["a"]["energy"]["idle_subtracted"] is False


def test_scatter_shows_as_cv() -> None:
    found = measured(Machine(noise=0.3), EnergySettings(repeats=20), a=(20.0, 25_000.0))
    assert 0.5 < found["a"]["energy"]["cv_percent"] < 20
    assert found["a"]["energy_mj"] == pytest.approx(15_000 * 0.020, rel=0.15)


def test_windows_are_as_long_as_asked_and_signs_of_life_are_given() -> None:
    machine = Machine()
    measured(machine, EnergySettings(window_s=7.0, repeats=2), a=(2.0, 25_000.0))
    assert 1 + 7 + 2 * 7 < machine.now_s < 1 + 7 + 2 * 7.5
    assert machine.signs > machine.now_s


def test_what_does_not_rise_above_idle_gets_no_energy_and_a_reason() -> None:
    found = measured(Machine(), EnergySettings(), a=(2.0, 9_999.0))
    assert found["a"]["energy_mj"] is None
    assert found["a"]["energy_source"] is None
    assert "no more than the 1e+04 mW of an idle machine" in found["a"]["energy"]["reason"]


def test_a_meter_that_stands_still_is_an_error() -> None:
    with pytest.raises(MeasurementError, match="energy meter 'rapl' stood still for 1 s"):
        measured(Machine(idle_mw=0.0), EnergySettings(), a=(2.0, 25_000.0))
