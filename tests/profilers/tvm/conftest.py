import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hwnas.profilers.tvm.device import TvmDevice
from hwnas.profilers.tvm.places import levels_here
from hwnas.spaces import get_space


@pytest.fixture(scope="session")
def demo_device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TvmDevice]:
    """The device with the demo space's kernels compiled, in a home folder of this test session."""
    if not {"x86-64-v3", "x86-64-v4"} & set(levels_here()):
        pytest.skip("schedules ship for x86-64-v3 and v4 alone")
    before = os.environ.get("HWNAS_HOME")
    os.environ["HWNAS_HOME"] = str(tmp_path_factory.mktemp("hwnas-home"))
    device = TvmDevice(get_space("demo"))
    device.prepare()
    yield device
    if before is None:
        del os.environ["HWNAS_HOME"]
    else:
        os.environ["HWNAS_HOME"] = before


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder for one test."""
    monkeypatch.setenv("HWNAS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"
