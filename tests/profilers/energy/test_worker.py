"""Energy through the measuring worker: from counter files to a stored measurement."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hwnas.profilers.energy.meters import has_energy
from hwnas.profilers.energy.settings import EnergySettings
from hwnas.profilers.machine.fingerprint import Fingerprint
from hwnas.profilers.measurement import Measurement
from hwnas.profilers.measuring.protocol import Protocol
from hwnas.profilers.measuring.worker_meter import worker_meter
from tests.profilers.energy.conftest import Sysfs

FINGERPRINT = Fingerprint({"device": "fake", "runtime_version": "fake 1"})


@pytest.fixture(autouse=True)
def runner_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "measuring"))


@contextmanager
def counting(file: Path, power_mw: float) -> Iterator[None]:
    """Moves a counter on as a machine of this power would, whatever runs."""
    stop = threading.Event()

    def count() -> None:
        begun = time.perf_counter()
        while not stop.wait(0.01):
            draft = file.with_name("draft")
            draft.write_text(str(int((time.perf_counter() - begun) * power_mw * 1e3)))
            draft.replace(file)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def measured(folder: Path, settings: EnergySettings) -> Measurement:
    protocol = Protocol(samples_least=5, samples_most=5, warmup_ms=1.0, silence_s=10.0, energy=settings)
    (folder / "a").write_text("sleep 0.002")
    with worker_meter("fake", "fake_runner", FINGERPRINT, protocol) as meter:
        (one,) = meter.measure({"a": folder / "a"}).measurements
    return one


def settings(sysfs: Sysfs, **fields: bool) -> EnergySettings:
    return EnergySettings(meter="rapl", repeats=2, sysfs=str(sysfs.root), **fields)  # type: ignore[arg-type]


def test_a_counter_becomes_the_energy_of_an_inference(sysfs: Sysfs, tmp_path: Path) -> None:
    file = sysfs.rapl("intel-rapl:0", "package-0", 0, range_uj=10**12)
    wanted = settings(sysfs, subtract_idle=False)
    with counting(file, power_mw=5000.0):
        one = measured(tmp_path, wanted)
    assert one.energy_source == "measured"
    assert one.energy_mj is not None
    # Sleeping takes at least as long as it was asked to; the counter is moved on by a thread, when it may.
    assert one.energy_mj > 5000.0 * 0.002 / 2
    assert one.energy is not None
    assert one.energy["idle_mw"] == pytest.approx(5000.0, rel=0.5)
    assert one.energy["window_s"] == 1.0
    assert one.energy["repeats"] == 2
    assert one.energy["cv_percent"] >= 0
    assert Measurement.of_json(one.to_json()) == one
    assert has_energy(one, wanted)
    assert not has_energy(one, settings(sysfs, subtract_idle=True))


def test_a_meter_that_fails_costs_the_energy_and_not_the_latency(sysfs: Sysfs, tmp_path: Path) -> None:
    file = sysfs.rapl("intel-rapl:0", "package-0", 0)
    file.write_text("garbage")
    one = measured(tmp_path, settings(sysfs))
    assert one.latency_ms >= 2
    assert one.energy_mj is None
    assert one.energy_source is None
    assert one.energy is not None
    assert "must hold a whole number" in one.energy["reason"]
    assert not has_energy(one, settings(sysfs))
