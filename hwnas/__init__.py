"""Hardware-aware neural architecture search that measures what it promises.

The names below are the public interface; each is imported when it is first used, so that
`import hwnas` is light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hwnas.version import __version__

if TYPE_CHECKING:
    from hwnas.data import get_dataset
    from hwnas.errors import HwnasError, InfeasibleError, InputError, MeasurementError, UnavailableError
    from hwnas.export.onnx import export_onnx
    from hwnas.export.profiling import DeviceProfile, ProfileSettings, profile_device
    from hwnas.export.road import Road
    from hwnas.export.verify import verify_model
    from hwnas.predictors import (
        Regressor,
        fit_and_score,
        fit_predictor,
        fit_quantized,
        load_predictor,
        read_measurements,
    )
    from hwnas.profilers import Protocol, Store, get_device
    from hwnas.profilers.profile import profile
    from hwnas.search.front import read_front
    from hwnas.search.settings import SearchSettings
    from hwnas.spaces import Architecture, Candidates, Layer, Network, Space, get_space, open_space
    from hwnas.supernet import Evaluator, TrainRecipe, evaluate_many, load_supernet, preset, read_official
    from hwnas.supernet.recalibrate import recalibrate
    from hwnas.supernet.training.train import train

__all__ = [
    "Architecture",
    "Candidates",
    "DeviceProfile",
    "Evaluator",
    "HwnasError",
    "InfeasibleError",
    "InputError",
    "Layer",
    "MeasurementError",
    "Network",
    "ProfileSettings",
    "Protocol",
    "Regressor",
    "Road",
    "SearchSettings",
    "Space",
    "Store",
    "TrainRecipe",
    "UnavailableError",
    "__version__",
    "evaluate_many",
    "export_onnx",
    "fit_and_score",
    "fit_predictor",
    "fit_quantized",
    "get_dataset",
    "get_device",
    "get_space",
    "load_predictor",
    "load_supernet",
    "open_space",
    "preset",
    "profile",
    "profile_device",
    "read_front",
    "read_measurements",
    "read_official",
    "recalibrate",
    "train",
    "verify_model",
]

_HOMES = {
    "hwnas.data": ("get_dataset",),
    "hwnas.errors": ("HwnasError", "InfeasibleError", "InputError", "MeasurementError", "UnavailableError"),
    "hwnas.export.onnx": ("export_onnx",),
    "hwnas.export.profiling": ("DeviceProfile", "ProfileSettings", "profile_device"),
    "hwnas.export.road": ("Road",),
    "hwnas.export.verify": ("verify_model",),
    "hwnas.predictors": (
        "Regressor",
        "fit_and_score",
        "fit_predictor",
        "fit_quantized",
        "load_predictor",
        "read_measurements",
    ),
    "hwnas.profilers": ("Protocol", "Store", "get_device"),
    "hwnas.profilers.profile": ("profile",),
    "hwnas.search.front": ("read_front",),
    "hwnas.search.settings": ("SearchSettings",),
    "hwnas.spaces": (
        "Architecture",
        "Candidates",
        "Layer",
        "Network",
        "Space",
        "get_space",
        "open_space",
    ),
    "hwnas.supernet": (
        "Evaluator",
        "TrainRecipe",
        "evaluate_many",
        "load_supernet",
        "preset",
        "read_official",
    ),
    "hwnas.supernet.recalibrate": ("recalibrate",),
    "hwnas.supernet.training.train": ("train",),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module 'hwnas' has no attribute '{name}'")
