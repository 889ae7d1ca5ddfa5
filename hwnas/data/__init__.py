"""Data sets: labelled images in four disjoint splits, found by name.

`digits` is built in and needs nothing; `imagefolder:PATH` and `cifar10:PATH` read from disk. A
package adds its own with an entry point in the group `hwnas.datasets`, whose name is what users
write before the colon, and whose object is called with the text after it ("" where there is none)
and returns a `Dataset`. Importing this loads neither torch nor scikit-learn nor Pillow.
"""

from collections.abc import Callable
from pathlib import Path

from hwnas.data.dataset import SPLITS, ArraySplit, Dataset, Split, fingerprint
from hwnas.errors import InputError
from hwnas.plugins import find, known_names

__all__ = [
    "SPLITS",
    "ArraySplit",
    "Dataset",
    "Split",
    "dataset_names",
    "fingerprint",
    "get_dataset",
]


def get_dataset(spec: str) -> Dataset:
    """Returns the data set a text stands for: `digits`, `imagefolder:PATH`, `cifar10:PATH`.

    A leading `~` in a path is the home folder. Names of built-in data sets come before those of
    entry points.

    Raises:
        InputError: the name is not known, a path is missing or not wanted, the files there cannot
            be used, or a package's data set cannot be loaded.
    """
    name, _, argument = spec.partition(":")
    return find(_BUILT_IN, _GROUP, "data set", name)(argument)


def dataset_names() -> list[str]:
    """Returns the names `get_dataset` knows, sorted."""
    return known_names(_BUILT_IN, _GROUP)


def _digits(argument: str) -> Dataset:
    if argument:
        raise InputError(f"digits takes nothing after a colon, but got 'digits:{argument}'")
    from hwnas.data.digits import digits

    return digits()


def _imagefolder(argument: str) -> Dataset:
    from hwnas.data.imagefolder import imagefolder

    return imagefolder(_path("imagefolder", argument))


def _cifar10(argument: str) -> Dataset:
    from hwnas.data.cifar10 import cifar10

    return cifar10(_path("cifar10", argument))


def _path(name: str, argument: str) -> Path:
    if not argument:
        raise InputError(f"{name} needs a folder: write {name}:PATH")
    return Path(argument).expanduser()


_GROUP = "hwnas.datasets"
_BUILT_IN: dict[str, Callable[[str], Dataset]] = {
    "digits": _digits,
    "imagefolder": _imagefolder,
    "cifar10": _cifar10,
}
