"""NVML by a module that plays it: no GPU is needed."""

import sys
import time
from types import SimpleNamespace
from typing import Any

import pytest

from hwnas.profilers.energy.nvml import NvmlMeter


class Error(Exception):
    pass


class NotSupported(Error):
    pass


class Driver:
    """Two GPUs: number 0 with an energy counter, number 1 (older) with power alone."""

    def __init__(self) -> None:
        self.energy_mj = 1e9
        self.sessions = 0
        self.broken = False

    def counter(self, gpu: int) -> float:
        if gpu == 1:
            raise NotSupported("Not Supported")
        if self.broken:
            raise Error("GPU is lost")
        self.energy_mj += 1
        return self.energy_mj

    def handle(self, index: int) -> int:
        if index not in (0, 1):
            raise Error("Invalid Argument")
        return index

    def module(self) -> Any:
        def change(by: int) -> None:
            self.sessions += by

        return SimpleNamespace(
            NVMLError=Error,
            NVMLError_NotSupported=NotSupported,
            nvmlInit=lambda: change(1),
            nvmlShutdown=lambda: change(-1),
            nvmlDeviceGetCount=lambda: 2,
            nvmlDeviceGetHandleByIndex=self.handle,
            nvmlDeviceGetHandleByUUID=lambda uuid: {"GPU-b": 1}[uuid],
            nvmlDeviceGetName=lambda gpu: f"card {gpu}",
            nvmlDeviceGetTotalEnergyConsumption=self.counter,
            nvmlDeviceGetPowerUsage=lambda gpu: 50_000,
        )


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    driver = Driver()
    monkeypatch.setitem(sys.modules, "pynvml", driver.module())
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return driver


def test_the_counter_counts_from_where_it_stood(driver: Driver) -> None:
    meter = NvmlMeter()
    assert meter.unavailable() is None
    with meter.opened() as read:
        before = driver.energy_mj
        driver.energy_mj += 500
        assert read() == driver.energy_mj - before
    assert driver.sessions == 0
    assert meter.facts().source == "NVML energy counter"
    assert "card 0" in meter.facts().boundary
    assert meter.facts().window_s >= 2


def test_a_gpu_without_a_counter_is_polled_for_longer(driver: Driver) -> None:
    meter = NvmlMeter(1, interval_ms=5)
    outside = time.perf_counter()
    with meter.opened() as read:
        inside = time.perf_counter()
        time.sleep(0.03)
        least = 50_000 * (time.perf_counter() - inside)
        assert least <= read() <= 50_000 * (time.perf_counter() - outside)
    assert "Volta" in meter.facts().source
    assert meter.facts().window_s >= 5


@pytest.mark.parametrize(("visible", "name"), [("1,0", "card 1"), ("GPU-b", "card 1"), ("", "card 0")])
def test_the_gpu_is_the_one_that_cuda_sees(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, visible: str, name: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert name in NvmlMeter().facts().boundary
    assert "card 0" in NvmlMeter(0).facts().boundary


def test_a_gpu_that_is_not_there_is_named(driver: Driver) -> None:
    assert "there is no GPU 7 here, there are 2" in str(NvmlMeter(7).unavailable())
    assert driver.sessions == 0


def test_a_gpu_that_is_lost_is_said(driver: Driver) -> None:
    driver.broken = True
    assert "GPU is lost" in str(NvmlMeter().unavailable())


def test_without_a_driver_or_the_package_the_reason_is_said(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init() -> None:
        raise Error("NVML Shared Library Not Found")

    sys.modules["pynvml"].nvmlInit = init  # type: ignore[attr-defined]
    assert "there is no NVIDIA driver here" in str(NvmlMeter().unavailable())
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert "pip install 'hwnas[nvml]'" in str(NvmlMeter().unavailable())
