"""`hwnas search` without a supernet: on predictors, and on devices that are simulated."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.cli.search_values import Named, chosen_devices, usual_folder
from hwnas.errors import InputError

if TYPE_CHECKING:
    from hwnas.export.road import RoadResult
    from hwnas.predictors import FittedPredictor
    from hwnas.progress import Progress
    from hwnas.spaces import Space


def search_on_predictors(
    accuracy: Path | None,
    latencies: list[Named],
    named: list[Named],
    knobs: dict[str, Any],
    output: Path | None,
    progress: "Progress",
    *,
    has_supernet: bool,
) -> "tuple[RoadResult, Path]":
    """Returns what a search without a supernet finds, and its run folder.

    Args:
        accuracy: the accuracy predictor's file.
        latencies: files of latency predictors.
        named: simulated devices.
        knobs: of the settings.
        output: the run folder; None for the usual one.
        progress: hears of each step.
        has_supernet: whether one is named too, which is refused.

    Raises:
        InputError: options that do not go together, or files that do not fit.
    """
    from hwnas.export.predicted_road import PredictedRoad, simulated_only
    from hwnas.predictors import load_predictor
    from hwnas.search.settings import SearchSettings

    if has_supernet:
        raise InputError("--accuracy-predictor and --supernet exclude each other; drop one of them")
    if accuracy is None:
        raise InputError("--latency-predictor needs an --accuracy-predictor beside it")
    if not latencies and not named:
        raise InputError(
            "a search on predictors needs --latency-predictor FILE, or a simulated --device such as "
            "table:T.csv"
        )
    predictor = load_predictor(accuracy)
    found, targets = _latencies(latencies, predictor.space)
    names = [name for name, _ in named]
    devices = simulated_only(chosen_devices(names, predictor.space, progress)) if names else []
    for device, (_, target) in zip(devices, named, strict=True):
        targets |= {device.name: target} if target is not None else {}
    settings = SearchSettings.of(**knobs, device_targets_ms=targets)
    folder = output or usual_folder(predictor.space.name, settings, "-predicted")
    road = PredictedRoad(
        accuracy=predictor,
        latencies=found,
        devices=devices,
        settings=settings,
        folder=folder,
        progress=progress,
        command=["hwnas", *sys.argv[1:]],
    )
    return road.travel(), folder


def _latencies(files: list[Named], space: "Space") -> "tuple[dict[str, FittedPredictor], dict[str, float]]":
    """The predictors in files, and the targets that were given, by the name of the device."""
    from hwnas.predictors import load_predictor

    found: dict[str, FittedPredictor] = {}
    targets: dict[str, float] = {}
    for path, target in files:
        one = load_predictor(Path(path), space)
        name = one.metric.partition(":")[2] or Path(path).stem
        if name in found:
            raise InputError(f"two latency predictors are called '{name}'; rename a file")
        found[name] = one
        targets |= {name: target} if target is not None else {}
    return found, targets
