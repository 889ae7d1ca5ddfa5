"""NVML: the energy and power of NVIDIA GPUs, through the optional package nvidia-ml-py."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, final

from hwnas.errors import UnavailableError
from hwnas.profilers.energy.meter import EnergyMeter, MeterFacts, ReadEnergy, integrated

# Counters move every 10 to 100 ms; power is a mean over up to a second, and on some GPUs sampled a
# quarter of the time (Yang et al., 2024, arXiv 2312.02741).
_COUNTER_WINDOW_S, _POWER_WINDOW_S = 2.0, 5.0


@final
class NvmlMeter(EnergyMeter):
    """One GPU: its energy counter (Volta and later), else its power, polled and integrated."""

    name = "nvml"

    def __init__(self, index: int | None = None, interval_ms: float = 50.0) -> None:
        """Takes the GPU as NVML counts them, None for the one that CUDA would use first."""
        self._index = index
        self._interval_ms = interval_ms

    def facts(self) -> MeterFacts:
        """Returns the GPU's name and how its energy is known."""
        with self._session() as (nvml, gpu):
            name = nvml.nvmlDeviceGetName(gpu)
            counts = _counts(nvml, gpu)
        boundary = f"the whole GPU board ({name}), memory included; not the host"
        if counts:
            return MeterFacts("NVML energy counter", boundary, _COUNTER_WINDOW_S)
        source = f"NVML power, every {self._interval_ms:g} ms (no energy counter: those came with Volta)"
        return MeterFacts(source, boundary, _POWER_WINDOW_S)

    @contextmanager
    def opened(self) -> Iterator[ReadEnergy]:
        """Yields the GPU's energy."""
        with self._session() as (nvml, gpu):
            if _counts(nvml, gpu):
                first = nvml.nvmlDeviceGetTotalEnergyConsumption(gpu)
                yield lambda: _asked(nvml, nvml.nvmlDeviceGetTotalEnergyConsumption, gpu) - first
            else:
                with integrated(
                    lambda: _asked(nvml, nvml.nvmlDeviceGetPowerUsage, gpu), self._interval_ms / 1e3
                ) as read:
                    yield read

    @contextmanager
    def _session(self) -> Iterator[tuple[Any, Any]]:
        """Yields NVML's module and the GPU's handle."""
        try:
            import pynvml
        except ImportError:
            raise UnavailableError(
                "the package nvidia-ml-py is not installed; run: pip install 'hwnas[nvml]'"
            ) from None
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            raise UnavailableError(f"there is no NVIDIA driver here ({error})") from None
        try:
            yield pynvml, self._handle(pynvml)
        finally:
            pynvml.nvmlShutdown()

    def _handle(self, nvml: Any) -> Any:
        wanted: int | str = _first_visible() if self._index is None else self._index
        try:
            if isinstance(wanted, str):
                return nvml.nvmlDeviceGetHandleByUUID(wanted)
            return nvml.nvmlDeviceGetHandleByIndex(wanted)
        except nvml.NVMLError as error:
            count = nvml.nvmlDeviceGetCount()
            raise UnavailableError(
                f"there is no GPU {wanted} here, there are {count}, counted from 0 ({error})"
            ) from None


def _first_visible() -> int | str:
    """The first GPU that CUDA is let see, by number or UUID."""
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip()
    return first if first and not first.isdigit() else int(first or 0)


def _counts(nvml: Any, gpu: Any) -> bool:
    """Whether the GPU has an energy counter."""
    try:
        nvml.nvmlDeviceGetTotalEnergyConsumption(gpu)
    except nvml.NVMLError_NotSupported:
        return False
    except nvml.NVMLError as error:
        raise UnavailableError(f"the GPU's energy may not be read ({error})") from None
    return True


def _asked(nvml: Any, question: Any, gpu: Any) -> float:
    try:
        return float(question(gpu))
    except nvml.NVMLError as error:
        raise UnavailableError(f"the GPU's energy cannot be read any more ({error})") from None
