"""Sampling rules: which architectures a training step runs, and what each learns from.

A rule is a value that the one trainer takes; each has a file of its own.
"""

from hwnas.supernet.training.sampling.alone import Alone
from hwnas.supernet.training.sampling.attentive import Attentive
from hwnas.supernet.training.sampling.fair import Fair
from hwnas.supernet.training.sampling.quantized import QuantizedSandwich
from hwnas.supernet.training.sampling.rule import AccuracyOf, Sampled, SamplingRule, Survey, Target
from hwnas.supernet.training.sampling.sandwich import Sandwich
from hwnas.supernet.training.sampling.shrinking import ProgressiveShrinking

__all__ = [
    "AccuracyOf",
    "Alone",
    "Attentive",
    "Fair",
    "ProgressiveShrinking",
    "QuantizedSandwich",
    "Sampled",
    "SamplingRule",
    "Sandwich",
    "Survey",
    "Target",
]
