"""Data sets: labelled images in four disjoint splits, found by name.

`digits` is built in and needs nothing; `imagefolder:PATH` and `cifar10:PATH` read from disk. A
package adds its own with an entry point in the group `hwnas.datasets`, whose name is what users
write before the colon, and whose object is called with the text after it ("" where there is none)
and returns a `Dataset`. Importing this loads neither torch nor scikit-learn nor Pillow.
"""

from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

from hwnas.data.dataset import SPLITS, ArraySplit, Dataset, Split, fingerprint
from hwnas.errors import InputError, unknown_name

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
    if name in _BUILT_IN:
        return _BUILT_IN[name](argument)
    for entry in entry_points(group=_GROUP):
        if entry.name == name:
            return _load(entry.name, entry.load)(argument)
    raise unknown_name("data set", name, dataset_names())


def dataset_names() -> list[str]:
    """Returns the names `get_dataset` knows, sorted."""
    return sorted({*_BUILT_IN, *(entry.name for entry in entry_points(group=_GROUP))})


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


def _load(name: str, load: Callable[[], Callable[[str], Dataset]]) -> Callable[[str], Dataset]:
    try:
        return load()
    except Exception as error:  # another package's code: anything can go wrong in it
        raise InputError(
            f"data set '{name}' cannot be loaded: {type(error).__name__}: {error}; mend or remove "
            f"the package that registers it"
        ) from error


_GROUP = "hwnas.datasets"
_BUILT_IN: dict[str, Callable[[str], Dataset]] = {
    "digits": _digits,
    "imagefolder": _imagefolder,
    "cifar10": _cifar10,
}
