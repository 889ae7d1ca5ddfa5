"""The supernet: elastic layers, training, recalibration, quantized evaluation, weights in and out."""

from hwnas.supernet.evaluate import Evaluation, Evaluator, Prepared, evaluate, prepare
from hwnas.supernet.fold import to_network
from hwnas.supernet.info import SupernetInfo
from hwnas.supernet.model import Supernet
from hwnas.supernet.quantize import FoldedNetwork, with_ranges
from hwnas.supernet.recalibrate import recalibrate
from hwnas.supernet.recipe import TrainRecipe
from hwnas.supernet.sampling import Sampled, SamplingRule, Sandwich
from hwnas.supernet.subnet import Subnet
from hwnas.supernet.train import TrainProgress, train
from hwnas.supernet.weights_file import demo_supernet_path, load_supernet, read_info, save_supernet

__all__ = [
    "Evaluation",
    "Evaluator",
    "FoldedNetwork",
    "Prepared",
    "Sampled",
    "SamplingRule",
    "Sandwich",
    "Subnet",
    "Supernet",
    "SupernetInfo",
    "TrainProgress",
    "TrainRecipe",
    "demo_supernet_path",
    "evaluate",
    "load_supernet",
    "prepare",
    "read_info",
    "recalibrate",
    "save_supernet",
    "to_network",
    "train",
    "with_ranges",
]
