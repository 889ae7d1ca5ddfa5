"""Sorting channels: what must stay the same does, and the important channels come first."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.spaces import Architecture, MobileNetRecipe, MobileNetSpace, Part, Space, Stage, get_space
from hwnas.supernet.training.sorting import sort_channels
from tests.supernet.conftest import TINY, telling

THREE = MobileNetRecipe(
    name="demo",
    image_sizes=(16,),
    stem=Part(width=(8,)),
    stages=(
        Stage(width=(8,), depth=(2,), kernel=(3, 5), expand=(1, 2, 4), se=True),
        Stage(width=(16,), depth=(1, 2), kernel=(3,), expand=(2, 3, 4), stride=2, activation="h_swish"),
    ),
    head=Part(width=(24,)),
)
SPACES = {
    "tiny": lambda: MobileNetSpace(TINY, 3),
    "three widths, one of them without an expansion": lambda: MobileNetSpace(THREE, 3),
}


def of_widths(space: Space, kept: int, seed: int) -> Architecture:
    """Returns a random architecture of the `kept` largest expand ratios, all input widths the largest."""
    genomes = space.sample_genomes(1, np.random.default_rng(seed))
    for place, gene in enumerate(space.genes):
        lowest = {"e": max(0, len(gene.choices) - kept), "w": len(gene.choices) - 1}.get(gene.group, 0)
        genomes[:, place] = np.maximum(genomes[:, place], lowest)
    return space.architectures(genomes)[0]


def outputs(supernet: torch.nn.Module, architecture: Architecture) -> torch.Tensor:
    x_NCHW = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        return supernet(x_NCHW, architecture)


@pytest.mark.parametrize("name", SPACES)
@given(seed=st.integers(0, 10**6), kept=st.integers(1, 3))
@settings(max_examples=6, deadline=None)
def test_networks_of_the_kept_widths_are_unchanged(name: str, seed: int, kept: int) -> None:
    space = SPACES[name]()
    before = telling(space, seed)
    after = copy.deepcopy(before)
    sort_channels(after, kept)
    assert after.digest() != before.digest() or kept == 3
    for architecture in (space.largest(), of_widths(space, kept, seed)):
        wanted, found = outputs(before, architecture), outputs(after, architecture)
        assert (found - wanted).abs().max() <= 2e-5 * wanted.abs().max()


@pytest.mark.parametrize("name", ["bignas-mobilenetv3", "ofa-resnet50"])
def test_elastic_outer_widths_and_bottlenecks_too(name: str) -> None:
    space = get_space(name, 10)
    before = telling(space)
    after = copy.deepcopy(before)
    sort_channels(after, 2)
    for architecture in (space.largest(), of_widths(space, 2, 0)):
        wanted, found = outputs(before, architecture), outputs(after, architecture)
        assert (found - wanted).abs().max() <= 1e-4 * wanted.abs().max()
    assert after.digest() != before.digest()


def test_the_most_important_channels_come_first(space) -> None:
    supernet = telling(space)
    sort_channels(supernet, 1)
    for slot in ("stages.0.1", "stages.1.0", "stages.1.1"):
        importance = supernet.get_submodule(slot).project.weight.abs().sum((0, 2, 3))
        assert (importance.diff() <= 0).all()
    hidden = supernet.get_submodule("stages.1.1").se_expand.weight.abs().sum((0, 2, 3))
    assert (hidden.diff() <= 0).all()


def test_inside_the_widths_kept_they_are_sorted_apart(space) -> None:
    supernet = telling(space)
    narrow = 32  # 16 channels in, expand ratio 2 of (2, 3)
    sort_channels(supernet, 2)
    importance = supernet.get_submodule("stages.1.1").project.weight.abs().sum((0, 2, 3))
    assert (importance[:narrow].diff() <= 0).all()
    assert (importance[narrow:].diff() <= 0).all()
    assert importance[narrow] > importance[narrow - 1]


def test_averaged_weights_are_permuted_alike(space) -> None:
    supernet, average = telling(space, 0), telling(space, 1)
    wanted = outputs(average, space.largest())
    state = average.state_dict()
    sort_channels(supernet, 1, [state])
    found = outputs(average, space.largest())
    assert (found - wanted).abs().max() <= 2e-5 * wanted.abs().max()
    importance = average.get_submodule("stages.1.1").project.weight.abs().sum((0, 2, 3))
    assert not (importance.diff() <= 0).all()


def test_sorting_twice_changes_nothing_more(space) -> None:
    supernet = telling(space)
    sort_channels(supernet, 1)
    before = supernet.digest()
    sort_channels(supernet, 1)
    assert supernet.digest() == before
