"""A data set of one's own: `--data sample-stripes:COUNT`; stripes whose slope is the class."""

from functools import partial

import numpy as np

from hwnas.data import SPLITS, ArraySplit, Dataset, fingerprint
from hwnas.errors import InputError

CLASSES = ("flat", "rising", "steep", "falling")
CANVAS_PX = 24
MEAN, STD = (0.5, 0.5, 0.5), (0.3, 0.3, 0.3)


def sample_stripes(argument: str) -> Dataset:
    """Returns the data set with COUNT images a split; 64 where the text is empty."""
    if not (argument or "64").isdecimal() or not 8 <= int(argument or "64") <= 10_000:
        raise InputError(f"sample-stripes:COUNT takes 8 to 10000 images a split, but got '{argument}'")
    count = int(argument or "64")
    return Dataset(
        name=f"sample-stripes:{count}",
        class_names=CLASSES,
        canvas_px=CANVAS_PX,
        fingerprint=fingerprint({"name": "sample-stripes", "count": count, "version": 1}),
        mean=MEAN,
        std=STD,
        make_split=partial(_split, count),
    )


def _split(count: int, name: str) -> ArraySplit:
    rng = np.random.default_rng([SPLITS.index(name), count])
    labels = rng.permutation(np.arange(count) % len(CLASSES)).astype(np.int64)
    y, x = np.mgrid[:CANVAS_PX, :CANVAS_PX]
    along_x, along_y = np.array([0.0, 1.0, 2.0, -1.0])[labels], np.array([1.0, 1.0, 1.0, 1.0])[labels]
    phase = rng.uniform(0, 2 * np.pi, count)
    waves = np.sin(0.8 * (along_x[:, None, None] * x + along_y[:, None, None] * y) + phase[:, None, None])
    grey = 127 + 80 * waves + rng.normal(0, 25, waves.shape)
    pixels = np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=3)
    return ArraySplit(labels=labels, mean=MEAN, std=STD, pixels=pixels)
