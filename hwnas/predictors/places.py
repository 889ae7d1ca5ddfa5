"""Where fitted latency predictors are kept: beside the measurements they were fitted on."""

from pathlib import Path

from hwnas.profilers import Device, default_store_path


def predictor_path(device: Device, space: str, store: Path | None = None) -> Path:
    """Returns the file of a device's latency predictor for a space.

    The device's fingerprint is part of the name: another runtime version, pack or processor has
    another predictor.

    Args:
        store: the measurement store; None for the default one.
    """
    folder = (store or default_store_path()).parent / "predictors"
    return folder / f"{space}-{device.name.replace('/', '_')}-{device.fingerprint().digest}.json"
