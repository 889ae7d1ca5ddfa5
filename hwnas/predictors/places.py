"""Where fitted latency predictors are kept: beside the measurements they were fitted on."""

from pathlib import Path

from hwnas.profilers import Device, default_store_path
from hwnas.spaces import Space


def predictor_path(device: Device, space: Space, store: Path | None = None) -> Path:
    """Returns the file of a device's latency predictor for a space.

    The device's fingerprint is part of the name: another runtime version, pack or processor has
    another predictor. So has another space of the same name.

    Args:
        store: the measurement store; None for the default one.
    """
    folder = (store or default_store_path()).parent / "predictors"
    return folder / f"{space.key}-{device.name.replace('/', '_')}-{device.fingerprint().digest}.json"
