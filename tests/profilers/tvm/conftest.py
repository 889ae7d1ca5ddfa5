from pathlib import Path

import pytest

from hwnas.profilers.tvm.device import TvmDevice
from hwnas.profilers.tvm.kernels import SpaceKernels, kernels_of, space_layers
from hwnas.spaces import get_space


@pytest.fixture
def demo_device(compiled_home: Path) -> TvmDevice:
    """The device with the demo space's kernels compiled, once a test session."""
    device = TvmDevice(get_space("demo"))
    if device.unavailable():
        pytest.skip(str(device.unavailable()))
    device.prepare()
    return device


@pytest.fixture(scope="session")
def demo_kernels() -> SpaceKernels:
    """The demo space's kernels, not compiled."""
    return kernels_of(space_layers(get_space("demo")))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder for one test."""
    monkeypatch.setenv("HWNAS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"
