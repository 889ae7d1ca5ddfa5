"""`imagefolder:PATH`: a folder of images, one folder a class, as torchvision's `ImageFolder` reads.

Two layouts are known:

    PATH/train/CLASS/**/IMAGE, with PATH/val (or valid, validate, validation) and PATH/test or not
    PATH/CLASS/**/IMAGE

Who gets which image, class by class; where a folder feeds several splits, a hash of the file name
decides, so the same names are split alike on every machine:

    folders there      train, calibrate   validate    test
    train, val, test   train              val         test
    train, val         train              half val    half val
    train, test        train              train       test
    train alone, or classes only: all four from the same images

Images are decoded when asked for, so a folder of any size fits in memory.
"""

import os
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np

from hwnas.data.dataset import Dataset, PerChannel, Split, fingerprint
from hwnas.data.dealing import FolderSettings, ImageFile, deal, place_in_split, shares_of
from hwnas.data.image_files import EXTENSIONS, FolderSplit
from hwnas.errors import InputError

_VAL_FOLDERS = ("val", "valid", "validate", "validation")
_SPLIT_FOLDERS = ("train", *_VAL_FOLDERS, "test")
_MEAN: PerChannel = (0.485, 0.456, 0.406)  # ImageNet's, which published weights expect
_STD: PerChannel = (0.229, 0.224, 0.225)


def imagefolder(path: Path, settings: FolderSettings | None = None) -> Dataset:
    """Returns the data set in a folder; the file names are read now, images when asked for.

    Files whose names end in none of `EXTENSIONS` and names that begin with a dot or `__` are passed
    over. The fingerprint covers names, sizes in bytes, labels, splits and settings.

    Args:
        path: the folder, in one of the two layouts above.
        settings: `FolderSettings()` where not given.

    Raises:
        InputError: the folder is missing, is a file, or cannot be read; it has no class folders,
            one class only, images beside the class folders, a class with too few images, an empty
            file, or classes that differ between its parts.
    """
    settings = settings or FolderSettings()
    _require_folder(path)
    _require_no_loose_image(path)
    parts = _parts(path)
    classes = _class_names(parts["train"])
    files: dict[str, list[ImageFile]] = {}
    for part, folder in parts.items():
        _require_same_classes(classes, parts["train"], folder)
        shares = shares_of(part, set(parts), len(classes), settings)
        for label, class_name in enumerate(classes):
            members = _images_of_class(folder / class_name, label)
            for split, chosen in deal(members, shares, folder / class_name).items():
                files.setdefault(split, []).extend(chosen)
    files = {split: sorted(chosen, key=place_in_split) for split, chosen in files.items()}

    @cache
    def make_split(name: str) -> Split:
        return FolderSplit(
            labels=np.array([file.label for file in files[name]], dtype=np.int64),
            mean=_MEAN,
            std=_STD,
            paths=tuple(file.path for file in files[name]),
            settings=settings,
        )

    contents = [
        f"{split}/{file.label}/{file.size_bytes}/{file.name}".encode(errors="surrogateescape")
        for split in sorted(files)
        for file in files[split]
    ]
    return Dataset(
        name=f"imagefolder:{path}",
        class_names=classes,
        canvas_px=settings.canvas_px,
        fingerprint=fingerprint({**asdict(settings), "classes": classes}, *contents),
        mean=_MEAN,
        std=_STD,
        make_split=make_split,
    )


def _parts(path: Path) -> dict[str, Path]:
    """Returns the folders that hold classes: `train` (all there is, perhaps), `val`, `test`.

    A folder named `train` or `test` may also be a class (of vehicles, of exams): it is taken for
    one where it holds no folders itself, has classes beside it, and is not one of a pair.
    """
    there = {name: path / name for name in _SPLIT_FOLDERS if (path / name).is_dir()}
    others = [folder for folder in _folders(path) if folder not in there]
    if others and ("train" not in there or len(there) == 1):
        there = {name: place for name, place in there.items() if _folders(place)}
    if not there:
        return {"train": path}
    if "train" not in there:
        raise InputError(
            f"{path} has {'/ and '.join(there)}/ but no train/; put the training images in "
            f"{path / 'train'}/CLASS/"
        )
    vals = [name for name in _VAL_FOLDERS if name in there]
    if len(vals) > 1:
        raise InputError(f"{path} must have one validation folder, but has {', '.join(vals)}")
    if others:
        raise InputError(
            f"{path} has train/, but also {', '.join(others[:3])}/ beside it; leave only train/, "
            f"val/ and test/ there"
        )
    found = {"train": there["train"]}
    if vals:
        found["val"] = there[vals[0]]
    if "test" in there:
        found["test"] = there["test"]
    return found


def _require_folder(path: Path) -> None:
    if path.is_file():
        raise InputError(
            f"imagefolder needs a folder, but {path} is a file; name the folder that holds train/ "
            f"or the class folders"
        )
    if not path.is_dir():
        raise InputError(f"image folder {path} does not exist; check the path")


def _class_names(folder: Path) -> tuple[str, ...]:
    """Returns the class folders' names, sorted; at least two, and no images beside them."""
    classes = _folders(folder)
    _require_no_loose_image(folder)
    if not classes:
        found = "holds no class folders" if any(folder.iterdir()) else "is empty"
        raise InputError(
            f"image folder {folder} {found}; put the images in {folder}/CLASS/, a folder for each class"
        )
    if len(classes) < 2:
        raise InputError(
            f"image folder {folder} must hold at least two classes, but holds one, '{classes[0]}'; "
            f"put each class in a folder of its own"
        )
    return tuple(classes)


def _require_same_classes(classes: tuple[str, ...], train: Path, folder: Path) -> None:
    there, wanted = set(_class_names(folder)), set(classes)
    if there != wanted:
        lacks, extra = sorted(wanted - there)[:3], sorted(there - wanted)[:3]
        told = [f"lacks {', '.join(lacks)}"] if lacks else []
        told += [f"also has {', '.join(extra)}"] if extra else []
        raise InputError(
            f"{folder} must have the same class folders as {train}, but {' and '.join(told)}; make them equal"
        )


def _images_of_class(folder: Path, label: int) -> list[ImageFile]:
    """Returns the images in a class folder and the folders below it, in no certain order."""
    found, other = [], ""
    for entry in _walk(folder):
        if not entry.name.lower().endswith(EXTENSIONS):
            other = other or entry.name
            continue
        try:
            size_bytes = entry.stat().st_size
        except OSError as error:  # a link to nowhere
            raise InputError(
                f"cannot read image {entry.path}: {error.strerror or error}; replace it, or remove "
                f"it from the folder"
            ) from error
        if not size_bytes:
            raise InputError(
                f"image {entry.path} is empty (0 bytes); replace it, or remove it from the folder"
            )
        name = Path(entry.path).relative_to(folder).as_posix()
        found.append(ImageFile(entry.path, name, size_bytes, label))
    if not found and other:
        raise InputError(
            f"class folder {folder} holds no images hwnas can read, only files such as {other}; "
            f"convert them to one of {' '.join(EXTENSIONS)}"
        )
    return found


def _walk(folder: Path | str) -> Iterator["os.DirEntry[str]"]:
    """Yields the files below a folder; each folder once, since links may lead round without end."""
    waiting, seen = [Path(folder)], set()
    while waiting:
        place = waiting.pop()
        try:
            about = place.stat()
        except OSError as error:
            raise InputError(f"cannot read folder {place}: {error.strerror or error}") from error
        if (about.st_dev, about.st_ino) in seen:
            continue
        seen.add((about.st_dev, about.st_ino))
        # By name, so that of two ways to a folder the same one is gone on every machine.
        for entry in sorted(_scan(place), key=lambda one: one.name, reverse=True):
            if entry.is_dir():
                waiting.append(Path(entry.path))
            else:
                yield entry


def _folders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in _scan(folder) if entry.is_dir())


def _require_no_loose_image(folder: Path) -> None:
    names = (entry.name for entry in _scan(folder) if not entry.is_dir())
    loose = min((name for name in names if name.lower().endswith(EXTENSIONS)), default=None)
    if loose is not None:
        raise InputError(
            f"images must lie in a folder for each class, but {folder / loose} does not; move it "
            f"into the folder of its class"
        )


def _scan(folder: Path | str) -> list["os.DirEntry[str]"]:
    """Returns what is in a folder, without names that begin with a dot or `__` (`__MACOSX`)."""
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith((".", "__"))]
    except OSError as error:
        raise InputError(f"cannot read folder {folder}: {error.strerror or error}") from error
