from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def compiled_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home for all tests that compile a space's kernels, so that they are compiled once."""
    return tmp_path_factory.mktemp("compiled-home")
