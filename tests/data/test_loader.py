"""The loader: the images asked for, in order, whoever decodes them."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from hwnas.data import get_dataset
from hwnas.data.dataset import part_of
from hwnas.data.loader import load
from hwnas.errors import InputError


def orders(n: int) -> Iterator[np.ndarray]:
    return (np.random.default_rng(step).permutation(n)[:4] for step in itertools.count())


@pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes")  # on one core
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_come_as_chosen(write_classes, tmp_path: Path, workers: int) -> None:
    split = get_dataset(f"imagefolder:{write_classes(tmp_path)}").split("train")
    made = itertools.islice(load(split, orders(len(split)), workers=workers), 6)
    for (images, labels), chosen in zip(made, orders(len(split)), strict=False):
        assert images.dtype == torch.uint8
        np.testing.assert_array_equal(images.numpy(), split.images(chosen))
        np.testing.assert_array_equal(labels.numpy(), split.labels[chosen])


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_image_is_told_in_one_line(write_classes, tmp_path: Path, workers: int) -> None:
    folder = write_classes(tmp_path)
    split = get_dataset(f"imagefolder:{folder}").split("train")
    for path in folder.rglob("*.png"):
        path.write_bytes(b"torn")
    with pytest.raises(InputError, match=r"^cannot read image") as caught:
        next(load(split, orders(len(split)), workers=workers))
    assert "\n" not in str(caught.value)


def test_files_alone_are_decoded_ahead(write_classes, tmp_path: Path) -> None:
    folder = get_dataset(f"imagefolder:{write_classes(tmp_path)}").split("train")
    assert folder.from_files
    assert not get_dataset("digits").split("validate").from_files


def test_a_part_of_a_split_is_a_split(write_classes, tmp_path: Path) -> None:
    whole = get_dataset(f"imagefolder:{write_classes(tmp_path)}").split("train")
    part = part_of(whole, np.array([5, 1, 3]))
    assert len(part) == 3
    np.testing.assert_array_equal(part.labels, whole.labels[[5, 1, 3]])
    np.testing.assert_array_equal(part.images([2, 0]), whole.images([3, 5]))
