"""The supernet: elastic layers, training, recalibration, quantized evaluation, weights in and out."""

from hwnas.supernet.calibrate import calibrated
from hwnas.supernet.evaluation.evaluate import Evaluator, Prepared
from hwnas.supernet.evaluation.settings import EvaluateSettings, Evaluation
from hwnas.supernet.evaluation.workers import (
    Processes,
    RayCluster,
    Threads,
    Workers,
    evaluate_many,
    local_workers,
)
from hwnas.supernet.fold import to_network
from hwnas.supernet.info import SupernetInfo
from hwnas.supernet.model import Supernet
from hwnas.supernet.official import official_state, read_official, write_official
from hwnas.supernet.quantize import FoldedNetwork
from hwnas.supernet.recalibrate import recalibrate
from hwnas.supernet.subnet import Subnet
from hwnas.supernet.torch_device import usable_torch_device
from hwnas.supernet.training.phase import Phase
from hwnas.supernet.training.presets import adjusted, preset, preset_names
from hwnas.supernet.training.recipe import TrainRecipe
from hwnas.supernet.training.sampling import (
    Alone,
    Attentive,
    Fair,
    ProgressiveShrinking,
    QuantizedSandwich,
    Sampled,
    SamplingRule,
    Sandwich,
    Survey,
)
from hwnas.supernet.training.train import TrainProgress, train
from hwnas.supernet.weights_file import demo_supernet_path, load_supernet, read_info, save_supernet

__all__ = [
    "Alone",
    "Attentive",
    "EvaluateSettings",
    "Evaluation",
    "Evaluator",
    "Fair",
    "FoldedNetwork",
    "Phase",
    "Prepared",
    "Processes",
    "ProgressiveShrinking",
    "QuantizedSandwich",
    "RayCluster",
    "Sampled",
    "SamplingRule",
    "Sandwich",
    "Subnet",
    "Supernet",
    "SupernetInfo",
    "Survey",
    "Threads",
    "TrainProgress",
    "TrainRecipe",
    "Workers",
    "adjusted",
    "calibrated",
    "demo_supernet_path",
    "evaluate_many",
    "load_supernet",
    "local_workers",
    "official_state",
    "preset",
    "preset_names",
    "read_info",
    "read_official",
    "recalibrate",
    "save_supernet",
    "to_network",
    "train",
    "usable_torch_device",
    "write_official",
]
