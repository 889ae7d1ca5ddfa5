"""How the images of a class are dealt out to splits: by a hash of their names, the same anywhere."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hwnas.errors import InputError


@dataclass(frozen=True, kw_only=True)
class FolderSettings:
    """How a folder of images is read.

    Attributes:
        canvas_px: side of the decoded images; the largest size a network will see.
        crop_share: the centre square kept, as a share of the shorter side; 224 of 256 is how
            ImageNet figures are made.
        validate_share: of each class, where `validate` is cut from the training images.
        test_share: of each class, where `test` is.
        calibrate_share: of each class, cut from the training images.
        calibrate_max: about as many images as `calibrate` has at most; a few thousand are enough
            to set batch norm, and training can use the rest.
    """

    canvas_px: int = 224
    crop_share: float = 0.875
    validate_share: float = 0.10
    test_share: float = 0.10
    calibrate_share: float = 0.10
    calibrate_max: int = 4096


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image file: its name relative to its class folder, with `/`, its size and its label."""

    path: str
    name: str
    size_bytes: int
    label: int


def shares_of(
    part: str, parts: set[str], num_classes: int, settings: FolderSettings
) -> dict[str, tuple[float, int]]:
    """Returns the splits a part feeds, the largest last, each with its share and most per class."""
    unlimited = 2**63
    if part == "test":
        return {"test": (1.0, unlimited)}
    if part == "val":
        both = {"test": (0.5, unlimited), "validate": (1.0, unlimited)}
        return {"validate": (1.0, unlimited)} if "test" in parts else both
    shares = {}
    if "test" not in parts and "val" not in parts:
        shares["test"] = (settings.test_share, unlimited)
    if "val" not in parts:
        shares["validate"] = (settings.validate_share, unlimited)
    most = -(-settings.calibrate_max // num_classes)
    return {**shares, "calibrate": (settings.calibrate_share, most), "train": (1.0, unlimited)}


def deal(
    members: list[ImageFile], shares: Mapping[str, tuple[float, int]], folder: Path
) -> dict[str, list[ImageFile]]:
    """Returns the images of a class dealt out to splits, at least one each, the rest to the last.

    Raises:
        InputError: there are fewer images than splits.
    """
    if len(members) < len(shares):
        raise InputError(
            f"class folder {folder} must hold at least {len(shares)} images, one each for "
            f"{', '.join(reversed(list(shares)))}, but holds {len(members)}; add images or leave the "
            f"class out"
        )

    def key(file: ImageFile) -> bytes:
        return hashlib.sha256(file.name.encode(errors="surrogateescape")).digest()

    waiting, dealt = sorted(members, key=key), {}
    for later, (split, (share, most)) in zip(range(len(shares) - 1, -1, -1), shares.items(), strict=True):
        wanted = max(1, min(round(share * len(members)), most))
        count = min(wanted, len(waiting) - later) if later else len(waiting)
        dealt[split] = sorted(waiting[:count], key=lambda file: file.name)
        waiting = waiting[count:]
    return dealt


def place_in_split(file: ImageFile) -> bytes:
    """Returns what a split is in order of: a hash, so that its first images are of all classes."""
    return hashlib.sha256(f"{file.label}/{file.name}".encode(errors="surrogateescape")).digest()
