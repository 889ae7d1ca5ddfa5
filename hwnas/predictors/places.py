"""Where fitted predictors of a device are kept: beside the measurements they were fitted on."""

from pathlib import Path

from hwnas.errors import InputError
from hwnas.predictors.predictor import FittedPredictor, load_predictor
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


def known_predictors(device: Device, space: Space, store: Path | None = None) -> list[FittedPredictor]:
    """Returns the latency predictors of a space on all other devices in the store, by name.

    A new device is fitted with them as `sources`. Files that are no predictors, or are of an older
    format, are left out; so are those that were themselves transferred, which would nest.

    Args:
        device: the one they are wanted for, whatever its fingerprint.
        space: the space.
        store: the measurement store; None for the default one.
    """
    folder = predictor_path(device, space, store).parent
    own = f"{space.key}-{device.name.replace('/', '_')}-"
    found = []
    for path in sorted(folder.glob(f"{space.key}-*.json")):
        if path.name.startswith(own) or "-energy-" in path.name:
            continue
        try:
            one = load_predictor(path, space)
        except InputError:
            continue
        if one.metric.startswith("latency_ms") and not one.model.endswith("+sources"):
            found.append(one)
    return found
