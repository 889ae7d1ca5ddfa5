"""The contract that every data set keeps, on all three built-in ones."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hwnas.data import SPLITS, ArraySplit, Dataset, fingerprint
from hwnas.data.cifar10 import cifar10
from hwnas.data.dealing import FolderSettings
from hwnas.data.digits import SplitSizes, digits
from hwnas.data.imagefolder import imagefolder
from hwnas.errors import InputError

SMALL = SplitSizes(train=120, calibrate=30, validate=40, test=50)

Make = Callable[[], Dataset]


@pytest.fixture(params=["digits", "imagefolder", "imagefolder-train-val", "cifar10"])
def make(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    write_classes: Callable[..., Path],
    write_cifar10: Callable[..., Path],
) -> Iterator[Make]:
    """Returns a function that opens the same data set anew."""
    folder = FolderSettings(canvas_px=12)
    if request.param == "digits":
        yield lambda: digits(sizes=SMALL)
    elif request.param == "cifar10":
        write_cifar10(tmp_path)
        yield lambda: cifar10(tmp_path)
    elif request.param == "imagefolder":
        write_classes(tmp_path)
        yield lambda: imagefolder(tmp_path, folder)
    else:
        write_classes(tmp_path / "train")
        write_classes(tmp_path / "val", count=5)
        yield lambda: imagefolder(tmp_path, folder)


def test_describes_itself(make: Make) -> None:
    dataset = make()
    assert dataset.name
    assert dataset.num_classes == len(set(dataset.class_names)) >= 2
    assert dataset.canvas_px > 0
    assert len(dataset.fingerprint) == 16
    assert int(dataset.fingerprint, 16) >= 0
    assert all(value > 0 for value in dataset.std)


@pytest.mark.parametrize("name", SPLITS)
def test_split_shapes_and_ranges(make: Make, name: str) -> None:
    dataset = make()
    split = dataset.split(name)
    images = split.images(range(len(split)))
    assert len(split) == len(split.labels) > 0
    assert split.labels.dtype == np.int64
    assert split.labels.min() >= 0
    assert split.labels.max() < dataset.num_classes
    assert images.dtype == np.uint8
    assert images.shape == (len(split), dataset.canvas_px, dataset.canvas_px, 3)
    assert (split.mean, split.std) == (dataset.mean, dataset.std)


@pytest.mark.parametrize("name", SPLITS)
def test_images_follow_the_indices_and_repeat(make: Make, name: str) -> None:
    split, again = make().split(name), make().split(name)
    n = len(split)
    everything = split.images(np.arange(n))
    order = np.random.default_rng(0).permutation(n)
    np.testing.assert_array_equal(split.images(order), everything[order])
    np.testing.assert_array_equal(split.images([0, 0, n - 1]), everything[[0, 0, n - 1]])
    np.testing.assert_array_equal(again.images(np.arange(n)), everything)
    np.testing.assert_array_equal(again.labels, split.labels)
    assert split.images([]).shape == (0, *everything.shape[1:])


def test_images_are_the_callers_own(make: Make) -> None:
    split = make().split("validate")
    before = split.images([0])
    changed = split.images([0])
    changed[:] = 255 - changed
    np.testing.assert_array_equal(split.images([0]), before)
    with pytest.raises(ValueError, match="read-only"):
        split.labels[0] = 1


def test_splits_share_no_image(make: Make) -> None:
    dataset = make()
    contents = {}
    for name in SPLITS:
        split = dataset.split(name)
        contents[name] = {image.tobytes() for image in split.images(range(len(split)))}
        assert len(contents[name]) == len(split)
    for one, other in itertools.combinations(SPLITS, 2):
        assert not contents[one] & contents[other]


def test_fingerprint_is_stable(make: Make) -> None:
    assert make().fingerprint == make().fingerprint


def test_split_is_made_once(make: Make) -> None:
    dataset = make()
    assert dataset.split("test") is dataset.split("test")


def test_unknown_split_names_the_nearest(make: Make) -> None:
    with pytest.raises(InputError, match="did you mean 'validate'"):
        make().split("validation")


def test_array_split_of_ones_own() -> None:
    pixels = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    split = ArraySplit(labels=np.array([0, 1]), mean=(0.5,) * 3, std=(0.25,) * 3, pixels=pixels)
    dataset = Dataset(
        name="own",
        class_names=("a", "b"),
        canvas_px=4,
        fingerprint="0" * 16,
        mean=split.mean,
        std=split.std,
        make_split=lambda name: split,
    )
    np.testing.assert_array_equal(dataset.split("test").images([1]), pixels[1:])
    assert replace(dataset, name="other").name == "other"


def test_fingerprint_tells_settings_and_contents_apart() -> None:
    made = [
        fingerprint({}),
        fingerprint({"a": 1}),
        fingerprint({"a": 2}),
        fingerprint({"a": 1}, b"xy"),
        fingerprint({"a": 1}, b"x", b"y"),
        fingerprint({"a": 1}, b"", b"xy"),
    ]
    assert len(set(made)) == len(made)
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint({}, memoryview(b"xy")) == fingerprint({}, b"xy")
