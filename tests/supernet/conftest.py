"""A space and data set small enough to train in a second, and supernets with telling weights."""

import numpy as np
import pytest
import torch

from hwnas.data import ArraySplit, Dataset
from hwnas.spaces import MobileNetRecipe, MobileNetSpace, Part, Stage
from hwnas.supernet import Supernet
from hwnas.supernet.elastic import ElasticNorm

TINY = MobileNetRecipe(
    name="demo",  # a name that can be looked up when a file is loaded; the files here give the space
    image_sizes=(16, 24),
    stem=Part(width=(8,), activation="h_swish"),
    stages=(
        Stage(width=(16,), depth=(1, 2), kernel=(3, 5), expand=(2, 3), stride=2),
        Stage(width=(16,), depth=(1, 2), kernel=(3, 5), expand=(2, 3), activation="h_swish", se=True),
    ),
    head=Part(width=(24,), activation="h_swish"),
    feature=Part(width=(16,), activation="h_swish"),
)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def space() -> MobileNetSpace:
    return MobileNetSpace(TINY, num_classes=3)


@pytest.fixture
def dataset() -> Dataset:
    return colours()


def colours() -> Dataset:
    """Returns three classes of images that differ in colour, under noise."""

    def make_split(name: str) -> ArraySplit:
        n = {"train": 96, "calibrate": 40, "validate": 50, "test": 50}[name]
        rng = np.random.default_rng(len(name))
        labels = rng.integers(0, 3, n)
        pixels = rng.integers(0, 256, (n, 24, 24, 3))
        pixels[np.arange(n), :, :, labels] += 60
        return ArraySplit(
            labels=labels.astype(np.int64),
            mean=(0.5, 0.5, 0.5),
            std=(0.25, 0.25, 0.25),
            pixels=pixels.clip(0, 255).astype(np.uint8),
        )

    return Dataset(
        name="colours",
        class_names=("red", "green", "blue"),
        canvas_px=24,
        fingerprint="0123456789abcdef",
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        make_split=make_split,
    )


def telling(space: MobileNetSpace, seed: int = 0) -> Supernet:
    """Returns a supernet in which every parameter and statistic is random, so that each matters."""
    generator = torch.Generator().manual_seed(seed)
    supernet = Supernet(space, generator)
    with torch.no_grad():
        for name, parameter in supernet.named_parameters():
            if "transforms" in name:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        for module in supernet.modules():
            if isinstance(module, ElasticNorm):
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.normal_(0, 0.3, generator=generator)
                module.running_mean.normal_(0, 0.3, generator=generator)
                module.running_var.uniform_(0.5, 1.5, generator=generator)
    return supernet.eval()
