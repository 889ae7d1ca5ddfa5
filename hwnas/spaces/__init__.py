"""Spaces of networks: genes, architectures, layers, costs. Needs numpy alone."""

from hwnas.spaces.architecture import Architecture, BitwidthPolicy, Candidate
from hwnas.spaces.candidates import Candidates
from hwnas.spaces.costs import Costs
from hwnas.spaces.layer import FLOAT_BITS, Layer, Op, make_divisible
from hwnas.spaces.mobilenet import MobileNetRecipe, MobileNetSpace, Stage
from hwnas.spaces.network import INPUT, Network, activation_bits, random_network, subject_key
from hwnas.spaces.registry import get_space, space_names
from hwnas.spaces.scaling import compound_scaled
from hwnas.spaces.space import Gene, Space

__all__ = [
    "FLOAT_BITS",
    "INPUT",
    "Architecture",
    "BitwidthPolicy",
    "Candidate",
    "Candidates",
    "Costs",
    "Gene",
    "Layer",
    "MobileNetRecipe",
    "MobileNetSpace",
    "Network",
    "Op",
    "Space",
    "Stage",
    "activation_bits",
    "compound_scaled",
    "get_space",
    "make_divisible",
    "random_network",
    "space_names",
    "subject_key",
]
