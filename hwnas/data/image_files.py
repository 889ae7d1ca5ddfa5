"""Splits of image files, decoded when asked for; what a file may be, and how large."""

import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from hwnas.data.dataset import Images, Indices, Split
from hwnas.data.dealing import FolderSettings
from hwnas.errors import InputError

EXTENSIONS = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
# What those endings stand for, by Pillow's names. Of others one runs a program: PostScript, Ghostscript.
_FORMATS = ("BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
# Decoded and converted, an image takes up to 12 bytes a pixel: 1 GiB. Pillow warns from here on.
_MOST_PIXELS = 2**30 // 12
_DECODERS = min(8, os.cpu_count() or 1)  # threads; Pillow releases the interpreter lock


@dataclass(frozen=True, kw_only=True, eq=False)
class FolderSplit(Split):
    """A split of image files, decoded when asked for."""

    paths: tuple[str, ...] = field(repr=False)
    settings: FolderSettings
    from_files: ClassVar[bool] = True

    def images(self, indices: Indices) -> Images:
        """Returns the decoded images, by several threads.

        Raises:
            InputError: a file is gone, truncated or no image; the first such in the order asked.
        """
        chosen = [self.paths[int(index)] for index in indices]
        side_px = self.settings.canvas_px
        result = np.empty((len(chosen), side_px, side_px, 3), np.uint8)
        num_threads = 1 if multiprocessing.parent_process() else _DECODERS  # beside others, or alone
        with ThreadPoolExecutor(num_threads) as threads:
            decoded = threads.map(lambda path: decode(path, self.settings), chosen)
            for row, image in enumerate(decoded):
                result[row] = image
        return result


def decode(path: str | Path, settings: FolderSettings) -> Images:
    """Returns one image as uint8 RGB [canvas, canvas, 3]: centre square, resized with antialiasing.

    Orientation tags are not followed and transparency is dropped, as in torchvision.

    Raises:
        InputError: the file is no image of `EXTENSIONS`, is truncated, has more than 8 bits per
            channel, or more pixels than memory should hold.
    """
    from PIL import Image

    try:
        with Image.open(path, formats=_FORMATS) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise InputError(
                    f"image {path} must have at most {_MOST_PIXELS:,} pixels, but has "
                    f"{image.width} x {image.height}; make it smaller, or remove it from the folder"
                )
            if image.mode.startswith(("I", "F")):
                raise InputError(
                    f"image {path} must have 8 bits per channel, but has Pillow's mode "
                    f"'{image.mode}'; convert it to 8-bit grey or RGB"
                )
            opaque = image.convert("RGBA") if "transparency" in image.info else image
            rgb = opaque.convert("RGB")
    except InputError:
        raise
    except Exception as error:  # decoders raise whatever broken bytes lead them to
        raise InputError(
            f"cannot read image {path}: {error}; replace it, or remove it from the folder"
        ) from error
    width, height = rgb.size
    kept = settings.crop_share * min(width, height)
    left, top = (width - kept) / 2, (height - kept) / 2
    square = rgb.resize(
        (settings.canvas_px, settings.canvas_px),
        Image.Resampling.BILINEAR,
        box=(left, top, left + kept, top + kept),
    )
    return np.asarray(square)
