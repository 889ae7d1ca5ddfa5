from pathlib import Path

import pytest

from hwnas.profilers.tvm.device import TvmDevice
from hwnas.profilers.tvm.kernels.plan import SpaceKernels, kernels_of, space_layers
from hwnas.spaces import get_space


@pytest.fixture
def demo_device(compiled_home: Path, monkeypatch: pytest.MonkeyPatch) -> TvmDevice:
    """The device with the demo space's kernels compiled, once a test session."""
    monkeypatch.setenv("HWNAS_HOME", str(compiled_home))
    device = TvmDevice(get_space("demo"))
    if device.unavailable():
        pytest.skip(str(device.unavailable()))
    device.prepare()
    return device


@pytest.fixture(scope="session")
def demo_kernels() -> SpaceKernels:
    """The demo space's kernels, not compiled."""
    return kernels_of(space_layers(get_space("demo")))
