"""Where fitted predictors of a device are kept: beside the measurements they were fitted on."""

from pathlib import Path

from hwnas.profilers import Device, default_store_path
from hwnas.spaces import Space


def predictor_path(
    device: Device, space: Space, store: Path | None = None, *, energy: str | None = None
) -> Path:
    """Returns the file of a device's latency predictor for a space, or of its energy predictor.

    The device's fingerprint is part of the name: another runtime version, pack or processor has
    another predictor. So has another space of the same name.

    Args:
        store: the measurement store; None for the default one.
        energy: the source of the energies it is fitted on (`measured`, `imported`, `modelled`), since
            kinds are not mixed; None for latency.
    """
    folder = (store or default_store_path()).parent / "predictors"
    ending = "" if energy is None else f"-energy-{energy}"
    return folder / f"{space.key}-{device.name.replace('/', '_')}-{device.fingerprint().digest}{ending}.json"
