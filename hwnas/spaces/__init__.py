"""Spaces of networks: genes, architectures, layers, costs. Needs no torch.

What needs pydantic, the recipes and the spaces made of them, is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hwnas.spaces.architecture import Architecture, BitwidthPolicy, Candidate
from hwnas.spaces.bit_rule import BitRule
from hwnas.spaces.bits import BitGenes, Pair, alike, crossed
from hwnas.spaces.candidates import Candidates
from hwnas.spaces.costs import Costs
from hwnas.spaces.layer import FLOAT_BITS, Layer, Op, make_divisible
from hwnas.spaces.network import INPUT, Network, activation_bits, operations, random_network, subject_key
from hwnas.spaces.registry import get_space, space_names
from hwnas.spaces.resnet import ResNetSpace
from hwnas.spaces.scaling import compound_scaled
from hwnas.spaces.space import Gene, Space

if TYPE_CHECKING:
    from hwnas.spaces.mobilenet import MobileNetSpace
    from hwnas.spaces.mobilenet_recipe import MobileNetRecipe, Part, Stage
    from hwnas.spaces.user import open_space, space_of_definition, space_yaml

__all__ = [
    "FLOAT_BITS",
    "INPUT",
    "Architecture",
    "BitGenes",
    "BitRule",
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
    "Pair",
    "Part",
    "ResNetSpace",
    "Space",
    "Stage",
    "activation_bits",
    "alike",
    "compound_scaled",
    "crossed",
    "get_space",
    "make_divisible",
    "open_space",
    "operations",
    "random_network",
    "space_names",
    "space_of_definition",
    "space_yaml",
    "subject_key",
]

_HOMES = {
    "hwnas.spaces.mobilenet": ("MobileNetSpace",),
    "hwnas.spaces.mobilenet_recipe": ("MobileNetRecipe", "Part", "Stage"),
    "hwnas.spaces.user": ("open_space", "space_of_definition", "space_yaml"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module 'hwnas.spaces' has no attribute '{name}'")
