"""What all tests share."""

import os
from pathlib import Path

import pytest

# One thread: small tests gain nothing from more, and a busy machine loses much.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """The folder of public measurements; tests that need it skip where it is absent."""
    named = os.environ.get("HWNAS_REFERENCE_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("public reference data is not here (HWNAS_REFERENCE_DATA names its folder)")
    return folder


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own for each test, so that none reads or writes the user's measurements."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HWNAS_HOME", str(folder))
    return folder
