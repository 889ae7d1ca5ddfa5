"""Small data sets on disk in their real formats, for the tests of this floor."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ImageWriter = Callable[..., Path]


@pytest.fixture
def write_image() -> ImageWriter:
    """Returns a function that writes a noise image, different for each path."""

    def write(path: Path, size: tuple[int, int] = (20, 16), mode: str = "RGB") -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(list("/".join(path.parts[-3:]).encode()))
        shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(path)
        return path

    return write


@pytest.fixture
def write_classes(write_image: ImageWriter) -> Callable[..., Path]:
    """Returns a function that fills FOLDER/CLASS/ with images, for each class."""

    def write(folder: Path, count: int = 12, classes: tuple[str, ...] = ("cat", "dog")) -> Path:
        for class_name in classes:
            for number in range(count):
                write_image(folder / class_name / f"{class_name}{number}.png")
        return folder

    return write


@pytest.fixture
def write_cifar10() -> Callable[..., Path]:
    """Returns a function that writes CIFAR-10's six binary files with a few records each."""

    def write(folder: Path, records: int = 20) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(0)
        names = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
        for name in names:
            content = rng.integers(0, 256, (records, 3073), dtype=np.uint8)
            content[:, 0] = rng.integers(0, 10, records)
            (folder / name).write_bytes(content.tobytes())
        return folder

    return write
