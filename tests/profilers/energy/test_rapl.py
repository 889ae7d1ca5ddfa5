"""RAPL's counters, recorded: what is added up, how they wrap, and what may go wrong."""

import builtins
import threading
import time

import pytest

from hwnas.errors import UnavailableError
from hwnas.profilers.energy.rapl import RaplMeter, domains
from tests.profilers.energy.conftest import Sysfs


def test_packages_and_their_memory_add_up_and_nothing_counts_twice(sysfs: Sysfs) -> None:
    files = [
        sysfs.rapl("intel-rapl:0", "package-0", 100),
        sysfs.rapl("intel-rapl:0:0", "core", 100),
        sysfs.rapl("intel-rapl:0:1", "uncore", 100),
        sysfs.rapl("intel-rapl:0:2", "dram", 100),
        sysfs.rapl("intel-rapl:1", "package-1", 100),
        sysfs.rapl("intel-rapl:1:0", "dram", 100),
        sysfs.rapl("intel-rapl:2", "psys", 100),
        sysfs.rapl("intel-rapl-mmio:0", "package-0", 100),
    ]
    meter = RaplMeter(sysfs.root)
    with meter.opened() as read:
        for digit, file in enumerate(files):
            file.write_text(str(100 + 10**digit))
        # Decimal digits tell who was added: packages 0 and 1, and the memory of both.
        assert read() == (1 + 1_000 + 10_000 + 100_000) / 1e3
    facts = meter.facts()
    assert "package-0, package-0 dram, package-1, package-1 dram" in facts.boundary
    assert "memory included" in facts.boundary
    assert facts.window_s >= 1


def test_packages_alone_say_that_memory_is_left_out(sysfs: Sysfs) -> None:
    sysfs.rapl("intel-rapl:0", "package-0", 5)
    sysfs.rapl("intel-rapl:0:0", "core", 5)
    assert "memory not included" in RaplMeter(sysfs.root).facts().boundary


def test_a_counter_that_begins_anew_once_loses_nothing(sysfs: Sysfs) -> None:
    file = sysfs.rapl("intel-rapl:0", "package-0", 900_000)
    with RaplMeter(sysfs.root).opened() as read:
        file.write_text("150000")
        assert read() == 250.0
        assert read() == 250.0


def test_a_counter_that_begins_anew_nearly_twice_loses_nothing(sysfs: Sysfs) -> None:
    file = sysfs.rapl("intel-rapl:0", "package-0", 10_000)
    with RaplMeter(sysfs.root).opened() as read:
        file.write_text("5000")
        assert read() == 995.0
        file.write_text("4999")
        assert read() == pytest.approx(1994.999)


def test_of_two_packages_each_begins_anew_on_its_own(sysfs: Sysfs) -> None:
    first = sysfs.rapl("intel-rapl:0", "package-0", 999_000)
    second = sysfs.rapl("intel-rapl:1", "package-1", 64_000, range_uj=65_000)
    with RaplMeter(sysfs.root).opened() as read:
        first.write_text("1000")
        second.write_text("2000")
        assert read() == 2.0 + 3.0


def test_without_powercap_the_reason_is_said(sysfs: Sysfs) -> None:
    assert "virtual machines" in str(RaplMeter(sysfs.root).unavailable())
    sysfs.rapl("intel-rapl:0", "psys", 1)
    assert "no intel-rapl packages" in str(RaplMeter(sysfs.root).unavailable())


def test_a_counter_for_root_alone_is_a_refusal_that_says_how_to_allow_it(
    sysfs: Sysfs, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = sysfs.rapl("intel-rapl:0", "package-0", 1)
    plain = builtins.open

    def guarded(path: object, *args: object, **named: object) -> object:
        if path == file:
            raise PermissionError(13, "Permission denied", str(path))
        return plain(path, *args, **named)  # type: ignore[call-overload]

    # The tests may run as root, whom no mode of a file keeps out.
    monkeypatch.setattr(builtins, "open", guarded)
    reason = str(RaplMeter(sysfs.root).unavailable())
    assert "root only" in reason
    assert f"sudo chmod a+r {sysfs.root}/class/powercap/intel-rapl:*/energy_uj" in reason
    assert "\n" not in reason


def test_a_counter_that_stands_still_is_none(sysfs: Sysfs) -> None:
    sysfs.rapl("intel-rapl:0", "package-0", 0)
    assert "stands still" in str(RaplMeter(sysfs.root).unavailable())


def test_a_counter_that_moves_is_usable(sysfs: Sysfs) -> None:
    file = sysfs.rapl("intel-rapl:0", "package-0", 1)

    def move() -> None:
        time.sleep(0.05)
        draft = file.with_name("draft")
        draft.write_text("2000")
        draft.replace(file)

    thread = threading.Thread(target=move)
    thread.start()
    assert RaplMeter(sysfs.root).unavailable() is None
    thread.join()


@pytest.mark.parametrize("text", ["", "garbage", "12.5", "0x10", "\x00\x00"])
def test_garbage_is_named(sysfs: Sysfs, text: str) -> None:
    file = sysfs.rapl("intel-rapl:0", "package-0", 1)
    file.write_text(text)
    with pytest.raises(UnavailableError, match=r"energy_uj must hold a whole number, but holds"):
        RaplMeter(sysfs.root).opened().__enter__()


def test_a_range_of_nothing_is_refused(sysfs: Sysfs) -> None:
    sysfs.rapl("intel-rapl:0", "package-0", 1, range_uj=0)
    with pytest.raises(UnavailableError, match="max_energy_range_uj must be above 0, but is 0"):
        domains(sysfs.root / "class" / "powercap")


def test_a_counter_that_goes_away_is_said_at_the_next_reading(sysfs: Sysfs) -> None:
    file = sysfs.rapl("intel-rapl:0", "package-0", 1)
    with RaplMeter(sysfs.root).opened() as read:
        file.unlink()
        with pytest.raises(UnavailableError, match="energy_uj cannot be read"):
            read()
