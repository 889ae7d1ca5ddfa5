from pathlib import Path

import pytest

from hwnas.profilers.tvm.device import TvmDevice
from hwnas.spaces import get_space


@pytest.fixture
def demo_device(compiled_home: Path) -> TvmDevice:
    """The device with the demo space's kernels compiled, once a test session."""
    device = TvmDevice(get_space("demo"))
    if device.unavailable():
        pytest.skip(str(device.unavailable()))
    device.prepare()
    return device


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder for one test."""
    monkeypatch.setenv("HWNAS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"
