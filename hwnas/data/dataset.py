"""What a data set is: four disjoint splits of labelled RGB images, and a fingerprint of them."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import unknown_name

SPLITS = ("train", "calibrate", "validate", "test")
"""`train` trains, `calibrate` recalibrates batch norm and sets ranges, `validate` guides the
search, `test` is used once, for the report."""

Indices: TypeAlias = Sequence[int] | NDArray[np.integer[Any]]
Images: TypeAlias = NDArray[np.uint8]
Labels: TypeAlias = NDArray[np.int64]
PerChannel: TypeAlias = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True, eq=False)
class Split(ABC):
    """A part of a data set: labels at hand, images made or decoded when asked for.

    The order mixes the classes: the first n images stand for all of them.

    Attributes:
        labels: int64 [N], each in 0..num_classes-1; read-only.
        mean: what is subtracted from each RGB channel scaled to 0..1 before a network sees it.
        std: what each channel is then divided by.
        from_files: whether images are decoded from files, so that it pays to do so ahead, in
            processes of their own; those need to pickle the split.
    """

    labels: Labels
    mean: PerChannel
    std: PerChannel
    from_files: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Makes the labels read-only, since all callers get the same ones."""
        self.labels.flags.writeable = False

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self.labels)

    @abstractmethod
    def images(self, indices: Indices) -> Images:
        """Returns the images at `indices`, in that order, as uint8 RGB [n, canvas, canvas, 3].

        The same indices give the same pixels each time, and the array is the caller's own. Only
        the images asked for need to fit in memory.

        Raises:
            InputError: an image cannot be read; the message names its file.
        """


@dataclass(frozen=True, kw_only=True, eq=False)
class ArraySplit(Split):
    """A split whose images are in memory: uint8 [N, canvas, canvas, 3]."""

    pixels: Images

    def images(self, indices: Indices) -> Images:
        """Returns a copy of the images at `indices`."""
        return np.ascontiguousarray(self.pixels[np.asarray(indices, dtype=np.intp)])


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """A data set; build one from `make_split` to bring your own.

    Attributes:
        name: the text that `get_dataset` takes to find it again, such as `cifar10:/data/cifar`.
        class_names: one name for each label, in label order.
        canvas_px: side of the square images as stored or decoded; networks may see them smaller.
        fingerprint: hex digest of contents and settings; the same on every machine.
        mean: per RGB channel on the 0..1 scale, for normalising; see `Split`.
        std: per RGB channel on the 0..1 scale, for normalising; see `Split`.
        make_split: returns the split of a name in `SPLITS`; cheap to call again.
    """

    name: str
    class_names: tuple[str, ...]
    canvas_px: int
    fingerprint: str
    mean: PerChannel
    std: PerChannel
    make_split: Callable[[str], Split]

    @property
    def num_classes(self) -> int:
        """Returns the number of classes."""
        return len(self.class_names)

    def split(self, name: str) -> Split:
        """Returns one of the four splits; no image is in two of them.

        Raises:
            InputError: `name` is not in `SPLITS`.
        """
        if name not in SPLITS:
            raise unknown_name("split", name, SPLITS)
        return self.make_split(name)


def fingerprint(settings: Mapping[str, object], *contents: bytes | memoryview) -> str:
    """Returns 16 hex digits (sha256) that change when a setting or any byte of contents does."""
    digest = hashlib.sha256(repr(sorted(settings.items())).encode())
    for content in contents:
        digest.update(len(content).to_bytes(8, "little"))
        digest.update(content)
    return digest.hexdigest()[:16]


def part_of(split: Split, indices: NDArray[np.int64]) -> Split:
    """Returns the images of a split at `indices`, as a split."""
    return _PartSplit(
        labels=split.labels[indices], mean=split.mean, std=split.std, whole=split, indices=indices
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _PartSplit(Split):
    """Some images of another split."""

    whole: Split
    indices: NDArray[np.int64]

    def images(self, indices: Indices) -> Images:
        """Returns the images at `indices` of this part."""
        return self.whole.images(self.indices[np.asarray(indices, dtype=np.intp)])
