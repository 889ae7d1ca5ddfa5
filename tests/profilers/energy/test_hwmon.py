"""Monitors of power rails, recorded."""

import itertools
import threading
import time

import pytest

from hwnas.errors import UnavailableError
from hwnas.profilers.energy.hwmon import HwmonMeter, chosen_rails, rails_here
from hwnas.profilers.energy.meter import Integral, integrated
from hwnas.profilers.energy.settings import EnergySettings
from tests.profilers.energy.conftest import Sysfs

JETSON = {
    "in1_label": "VDD_IN",
    "in1_input": 5000,
    "curr1_input": 1000,
    "in2_label": "VDD_CPU_GPU_CV",
    "in2_input": 5000,
    "curr2_input": 400,
    "in3_label": "VDD_SOC",
    "in3_input": 5000,
    "curr3_input": 200,
    # What the driver numbers beyond the three channels: shunt voltages and a sum of currents.
    "in4_input": 77,
    "curr4_input": 1600,
    "in7_input": 9,
}


def settings(sysfs: Sysfs, *rails: str, boundary: str = "") -> EnergySettings:
    return EnergySettings(
        meter="hwmon", rails=rails, boundary=boundary, sysfs=str(sysfs.root), interval_ms=10
    )


def test_a_jetson_is_read_where_its_power_comes_in(sysfs: Sysfs) -> None:
    sysfs.hwmon("hwmon0", "cpu_thermal", temp1_input=45000)
    sysfs.hwmon("hwmon1", "ina3221", **JETSON)
    rails = rails_here(sysfs.root / "class" / "hwmon")
    assert [rail.name for rail in rails] == ["ina3221/VDD_IN", "ina3221/VDD_CPU_GPU_CV", "ina3221/VDD_SOC"]
    assert [rail.power_mw() for rail in rails] == [5000, 2000, 1000]
    assert [rail.label for rail in chosen_rails(rails, (), sysfs.root)] == ["VDD_IN"]
    meter = HwmonMeter(settings(sysfs))
    assert meter.unavailable() is None
    assert "ina3221/VDD_IN" in meter.facts().boundary
    assert "VDD_SOC" not in meter.facts().boundary


def test_the_rails_of_a_board_are_added_up_as_chosen(sysfs: Sysfs) -> None:
    sysfs.hwmon("hwmon2", "ina226_u76", power1_input=1_500_000, in1_input=850, curr1_input=9)
    sysfs.hwmon("hwmon3", "ina226_u77", power1_input=250_000)
    sysfs.hwmon("hwmon10", "ina226_u15", power1_input=9_000_000)
    chosen = HwmonMeter(settings(sysfs, "ina226_u7*", boundary="PS and PL"))
    outside = time.perf_counter()
    with chosen.opened() as read:
        inside = time.perf_counter()
        time.sleep(0.05)
        least = 1750 * (time.perf_counter() - inside)
        assert least <= read() <= 1750 * (time.perf_counter() - outside)
    assert chosen.facts().boundary == "PS and PL (rails ina226_u76/1, ina226_u77/1)"


def test_one_monitor_alone_needs_no_choice(sysfs: Sysfs) -> None:
    sysfs.hwmon("hwmon0", "ina260_u14", power1_input=4_300_000)
    assert HwmonMeter(settings(sysfs)).unavailable() is None


def test_many_rails_are_never_added_up_by_guess(sysfs: Sysfs) -> None:
    sysfs.hwmon("hwmon0", "ina226_u76", power1_input=1)
    sysfs.hwmon("hwmon1", "ina226_u77", power1_input=1)
    reason = str(HwmonMeter(settings(sysfs)).unavailable())
    assert "rails: [...]" in reason
    assert "ina226_u76/1, ina226_u77/1" in reason


def test_a_rail_that_is_not_there_is_named_with_those_that_are(sysfs: Sysfs) -> None:
    sysfs.hwmon("hwmon0", "ina3221", **JETSON)
    with pytest.raises(UnavailableError, match=r"no rail 'ina3221/VDD_GPU'.*VDD_CPU_GPU_CV"):
        HwmonMeter(settings(sysfs, "ina3221/VDD_GPU")).facts()


def test_what_cannot_be_read_is_a_refusal(sysfs: Sysfs) -> None:
    assert "no power monitors" in str(HwmonMeter(settings(sysfs)).unavailable())
    place = sysfs.hwmon("hwmon0", "ina260_u14", power1_input="garbage")
    assert "must hold a whole number" in str(HwmonMeter(settings(sysfs)).unavailable())
    (place / "power1_input").write_text("0")
    assert "stands still" in str(HwmonMeter(settings(sysfs)).unavailable())


def test_power_is_integrated_by_trapezoids() -> None:
    # Power of 10 t mW at t seconds, read at uneven times: the integral is 5 t^2 mJ exactly.
    times = iter([1.0, 1.5, 4.0, 6.0])
    now = 0.0

    def clock() -> float:
        return now

    integral = Integral(lambda: 10 * now, clock)
    for now in times:
        assert integral.read() == pytest.approx(5 * now**2)


def test_a_burst_between_two_readings_of_the_caller_is_seen() -> None:
    powers = itertools.chain([0.0], itertools.repeat(1000.0, 5))
    over = threading.Event()

    def power_mw() -> float:
        power = next(powers, None)
        if power is None:
            over.set()
        return power or 0.0

    with integrated(power_mw, 0.01) as read:
        assert over.wait(timeout=60)
        assert read() > 1000 * 0.04


def test_an_error_of_the_thread_reaches_whoever_reads() -> None:
    readings = itertools.count()
    gone = threading.Event()

    def power_mw() -> float:
        if next(readings) > 1:
            gone.set()
            raise UnavailableError("the rail is gone")
        return 1.0

    with integrated(power_mw, 0.005) as read:
        assert gone.wait(timeout=60)
        with pytest.raises(UnavailableError, match="the rail is gone"):
            read()
