"""Data sets: single images, folders of them, and CIFAR-10."""

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from . import mutations as spoil
from .mutations import Rng
from .reader import Reader, each, printed

_SIDE_PX = 16


def _images() -> dict[str, bytes]:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (_SIDE_PX, _SIDE_PX, 3), dtype=np.uint8)
    plain = Image.fromarray(pixels)
    palette = plain.quantize(8)
    files = {
        "a.jpg": (plain, {"format": "JPEG"}),
        "b.jpg": (plain, {"format": "JPEG", "progressive": True}),
        "c.png": (plain, {"format": "PNG"}),
        "d.png": (palette, {"format": "PNG", "transparency": 0}),
        "e.bmp": (plain, {"format": "BMP"}),
        "f.ppm": (plain, {"format": "PPM"}),
        "g.tif": (plain, {"format": "TIFF", "compression": "tiff_lzw"}),
        "h.tif": (plain.convert("CMYK"), {"format": "TIFF"}),
        "i.webp": (plain, {"format": "WEBP"}),
    }
    made = {}
    for name, (image, options) in files.items():
        out = io.BytesIO()
        image.save(out, **options)
        made[name] = out.getvalue()
    made["j.pgm"] = b"P2\n2 2\n255\n0 1 2 3\n"
    return made


def in_sizes(content: bytes, rng: Rng) -> bytes:
    """Returns the content with a number of two or four bytes, of either order, made larger or nought."""
    spoilt = bytearray(content)
    at = int(rng.integers(0, min(len(spoilt), 200)))
    width, order = int(rng.choice([2, 4])), ["little", "big"][int(rng.integers(0, 2))]
    number = int(rng.choice([0, 1, 0x3FFF, 0x7FFF, 0xFFFF, 0x10000, 10**8, 2**31 - 1, 2**32 - 1]))
    spoilt[at : at + width] = (number % 2 ** (8 * width)).to_bytes(width, order)  # type: ignore[arg-type]
    return bytes(spoilt)


def in_format(content: bytes, rng: Rng) -> bytes:
    """Returns something of a kind that no data set has, under an image's name."""
    others = (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n",
        b"GIF89a",
        b"<svg/>",
        b"%PDF-1.4",
    )
    return others[int(rng.integers(0, len(others)))] + content


def _use_images(folder: Path) -> None:
    from hwnas.data.dealing import FolderSettings
    from hwnas.data.image_files import decode

    settings = FolderSettings(canvas_px=8)

    def one(path: Path) -> None:
        assert decode(path, settings).shape == (8, 8, 3)

    each(*(lambda path=path: one(path) for path in sorted(folder.iterdir())))  # type: ignore[misc]


# --- folders, laid out by a JSON file: a text is an empty file's or an image's content, a number a link


def _tree() -> dict[str, bytes]:
    classes = {name: {f"{number}.pgm": "image" for number in range(5)} for name in ("cat", "dog <b>")}
    return {
        "tree.json": json.dumps(
            {"train": classes, "val": {name: dict(c) for name, c in classes.items()}}
        ).encode()
    }


def in_tree(content: bytes, rng: Rng) -> bytes:
    """Returns another folder; never one that the harness itself could not lay out."""
    while True:
        spoilt = spoil.in_json(content, rng)
        try:
            json.loads(spoilt)
            return spoilt
        except (RecursionError, ValueError):
            continue


def _lay(folder: Path, tree: Any, root: Path, deep: int = 0) -> None:
    if not isinstance(tree, dict) or deep > 30:
        return
    folder.mkdir()
    for name, content in tree.items():
        place = folder / name
        usable = name not in ("", ".", "..") and not set(name) & set("/\0")
        try:
            if not usable or len(os.fsencode(name)) > 255:
                continue
        except UnicodeEncodeError:
            continue
        if isinstance(content, dict):
            _lay(place, content, root, deep + 1)
        elif isinstance(content, list):
            place.symlink_to(folder)
        elif isinstance(content, bool):
            place.symlink_to(root)
        else:
            image = (
                b"P2\n2 2\n255\n0 1 2 3\n" if content == "image" else str(content).encode("utf-8", "replace")
            )
            place.write_bytes(image[:100])


def _use_tree(folder: Path) -> None:
    from hwnas.data.dealing import FolderSettings
    from hwnas.data.imagefolder import imagefolder

    tree = json.loads((folder / "tree.json").read_text(encoding="utf-8", errors="surrogatepass"))
    _lay(folder / "images", tree, folder / "images")
    found = imagefolder(folder / "images", FolderSettings(canvas_px=8))
    printed([found.name, found.class_names, found.fingerprint])
    for name in ("train", "calibrate", "validate", "test"):
        split = found.split(name)
        split.images(range(len(split)))


def _cifar10() -> dict[str, bytes]:
    record = bytes([3]) + bytes(3072)
    names = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
    return dict.fromkeys(names, record * 6)


def _use_cifar10(folder: Path) -> None:
    from hwnas.data.cifar10 import cifar10

    found = cifar10(folder)
    printed(found.fingerprint)
    for name in ("train", "calibrate", "validate", "test"):
        split = found.split(name)
        assert split.images(range(len(split))).shape[1:] == (32, 32, 3)
        assert all(0 <= label < 10 for label in split.labels)


PICTURES: dict[str, Reader] = {
    "image": Reader(
        _images,
        spoil.any_of(spoil.in_bytes, spoil.in_bytes, in_sizes, in_sizes, in_format),
        _use_images,
        apart=True,
    ),
    "imagefolder": Reader(_tree, in_tree, _use_tree),
    "cifar10": Reader(_cifar10, spoil.any_of(spoil.in_bytes, in_sizes), _use_cifar10),
}
