"""Where this machine keeps measurements, packs, compiled kernels and tuning work."""

import os
from pathlib import Path


def data_home() -> Path:
    """Returns the folder of what is worth keeping: `HWNAS_HOME`, else `hwnas` in the user's data folder."""
    return _home("XDG_DATA_HOME", ".local/share")


def cache_home() -> Path:
    """Returns the folder of what can be made again: `HWNAS_HOME`, else `hwnas` in the user's cache folder."""
    return _home("XDG_CACHE_HOME", ".cache")


def _home(variable: str, default: str) -> Path:
    if os.environ.get("HWNAS_HOME"):
        return Path(os.environ["HWNAS_HOME"])
    return Path(os.environ.get(variable) or Path.home() / default) / "hwnas"
