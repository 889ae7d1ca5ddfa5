"""`digits`: real handwritten digits among clutter, made hard enough to tell networks apart.

The 1,797 digits of 8 x 8 px that come with scikit-learn (a part of the UCI "Optical Recognition of
Handwritten Digits" set) are too easy as they are: every network scores 98 %. Here each is drawn at
a random scale, rotation, position and colour on a larger canvas, over pieces of other digits, with
uneven light and noise. A network must find the digit and see it sharply, so that depth, width and
input size all pay. Nothing is read from or written to disk.
"""

from dataclasses import asdict, dataclass, field
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.data.dataset import (
    SPLITS,
    Dataset,
    Images,
    Indices,
    PerChannel,
    Split,
    fingerprint,
)

_RENDERER = 1  # raise when the pixels drawn for the same settings change
_SOURCE_PX = 24  # the 8 x 8 sources are smoothed to this side before they are drawn
_CHUNK = 250  # images drawn at once: keeps the working set in a CPU's cache
_MEAN: PerChannel = (0.5, 0.5, 0.5)
_STD: PerChannel = (0.25, 0.25, 0.25)


@dataclass(frozen=True, kw_only=True)
class Difficulty:
    """How hard `digits` is; ranges are (low, high), drawn uniformly for each image.

    Attributes:
        canvas_px: side of the images.
        digit_px: side of the square the whole digit is drawn in.
        rotation_deg: the digit is turned by at most this, either way; below 45, so 6 is not 9.
        num_fragments: pieces of other digits drawn under the digit, both ends included.
        fragment_share: side of a piece as a share of the whole digit it is cut from; below 0.6,
            so no piece can be taken for a digit.
        fragment_scale: scale of the digit a piece is cut from, relative to the digit in the image.
        contrast: difference in lightness between digit and background, on a scale of 0..1; the
            same range serves the pieces. Either may be lighter or darker than the background.
        tint: standard deviation of the colour of background, digit and pieces around grey.
        shading: standard deviation of the uneven light over the canvas.
        noise: standard deviation of the pixel noise.
    """

    canvas_px: int = 48
    digit_px: tuple[float, float] = (15.0, 34.0)
    rotation_deg: float = 20.0
    num_fragments: tuple[int, int] = (2, 6)
    fragment_share: tuple[float, float] = (0.35, 0.55)
    fragment_scale: tuple[float, float] = (0.8, 1.4)
    contrast: tuple[float, float] = (0.3, 0.8)
    tint: float = 0.06
    shading: float = 0.06
    noise: tuple[float, float] = (0.02, 0.08)


@dataclass(frozen=True, kw_only=True)
class SplitSizes:
    """How many images each split of `digits` has.

    6,000 for `validate` and `test` give a standard error of at most 0.6 points from 70 % top-1 on.
    """

    train: int = 16_000
    calibrate: int = 2_000
    validate: int = 6_000
    test: int = 6_000


_SOURCE_SHARES = {"train": 0.5, "calibrate": 0.1, "validate": 0.2, "test": 0.2}


def digits(difficulty: Difficulty | None = None, sizes: SplitSizes | None = None, seed: int = 0) -> Dataset:
    """Returns the digits data set; its images are drawn when a split is first looked at.

    The sources of the four splits are disjoint and stratified by class: half of them serve
    `train`, a tenth `calibrate`, a fifth each `validate` and `test`; clutter is cut from sources
    of the same split. All is determined by the arguments.

    Args:
        difficulty: `Difficulty()` where not given.
        sizes: `SplitSizes()` where not given.
        seed: decides which source is in which split, and how the images are drawn.
    """
    from sklearn.datasets import load_digits

    difficulty, sizes = difficulty or Difficulty(), sizes or SplitSizes()
    bunch = load_digits()
    originals = np.asarray(bunch.images, dtype=np.uint8)  # [1797, 8, 8], values 0..16
    classes = np.asarray(bunch.target, dtype=np.int64)
    owners = _split_sources(classes, np.random.default_rng([seed, len(SPLITS)]))

    @cache
    def make_split(name: str) -> Split:
        own = np.flatnonzero(owners == SPLITS.index(name))
        rng = np.random.default_rng([seed, SPLITS.index(name)])
        num_images = asdict(sizes)[name]
        rounds = [rng.permutation(len(own)) for _ in range(-(-num_images // len(own)))]
        drawn = np.concatenate([*rounds, np.empty(0, np.intp)])[:num_images].astype(np.intp)
        return DigitsSplit(
            labels=classes[own][drawn],
            mean=_MEAN,
            std=_STD,
            originals=originals[own],
            drawn=drawn,
            difficulty=difficulty,
            seed=(seed, SPLITS.index(name), 1),
        )

    settings = {"renderer": _RENDERER, "seed": seed, **asdict(difficulty), **asdict(sizes)}
    return Dataset(
        name="digits",
        class_names=tuple("0123456789"),
        canvas_px=difficulty.canvas_px,
        fingerprint=fingerprint(settings, originals.tobytes(), classes.tobytes()),
        mean=_MEAN,
        std=_STD,
        make_split=make_split,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class DigitsSplit(Split):
    """A split of `digits`: image i shows original number `drawn[i]` of this split's own.

    Attributes:
        originals: uint8 [S, 8, 8], values 0..16: the sources no other split uses.
        drawn: [N], for each image the source it shows.
        difficulty: how they are drawn.
        seed: what the drawing is seeded with.
    """

    originals: NDArray[np.uint8] = field(repr=False)
    drawn: NDArray[np.intp] = field(repr=False)
    difficulty: Difficulty
    seed: tuple[int, ...]

    def images(self, indices: Indices) -> Images:
        """Returns the images at `indices`; the first call draws the whole split."""
        return self._pixels[np.asarray(indices, dtype=np.intp)]

    @cached_property
    def _pixels(self) -> Images:
        rng = np.random.default_rng(self.seed)
        strokes = _strokes(self.originals)
        side_px = self.difficulty.canvas_px
        pixels = np.empty((len(self.drawn), side_px, side_px, 3), np.uint8)
        for start in range(0, len(self.drawn), _CHUNK):
            # Within a chunk the most cluttered images come first, hence the random order.
            chunk = start + rng.permutation(min(_CHUNK, len(self.drawn) - start))
            pixels[chunk] = _render(strokes, self.drawn[chunk], self.difficulty, rng)
        return pixels


def _split_sources(classes: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.intp]:
    """Returns for each source the position in `SPLITS` of the split that owns it."""
    bounds = np.cumsum([_SOURCE_SHARES[name] for name in SPLITS])
    owners = np.empty(len(classes), np.intp)
    for label in np.unique(classes):
        members = rng.permutation(np.flatnonzero(classes == label))
        places = (np.arange(len(members)) + 0.5) / len(members)
        owners[members] = np.searchsorted(bounds[:-1], places, side="right")
    return owners


def _strokes(originals: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Returns the sources as smooth pen strokes: opacity 0..1, [S, 24, 24]."""
    import torch
    from torch.nn import functional

    small = torch.from_numpy(originals.astype(np.float32) / 16)[:, None]
    smooth = functional.interpolate(small, size=_SOURCE_PX, mode="bicubic", align_corners=False)
    ramp = ((smooth - 0.25) / 0.5).clamp(0, 1)  # steepens the edges that interpolation blurred
    strokes: NDArray[np.float32] = (ramp * ramp * (3 - 2 * ramp))[:, 0].numpy()
    return strokes


def _render(
    strokes: NDArray[np.float32],
    drawn: NDArray[np.intp],
    difficulty: Difficulty,
    rng: np.random.Generator,
) -> Images:
    """Returns uint8 [n, canvas, canvas, 3]: light, pieces, digit and noise laid over each other."""
    import torch
    from torch.nn import functional

    n, side_px = len(drawn), difficulty.canvas_px
    digit_px = rng.uniform(*difficulty.digit_px, n)
    digit_light = rng.choice([-1.0, 1.0], n) * rng.uniform(*difficulty.contrast, n)
    # The background leaves room for the digit on its side of the scale.
    light = rng.uniform(np.maximum(0.0, -digit_light), np.minimum(1.0, 1.0 - digit_light))
    shade = rng.normal(0, difficulty.shading, (n, 1, 4, 4)) + light[:, None, None, None]
    canvas = functional.interpolate(_tensor(shade), size=side_px, mode="bilinear", align_corners=False)
    canvas = canvas + _tensor(rng.normal(0, difficulty.tint, (n, 3, 1, 1)))

    num_pieces = -np.sort(-rng.integers(*difficulty.num_fragments, n, endpoint=True))
    for piece in range(difficulty.num_fragments[1]):
        first = int(np.count_nonzero(num_pieces > piece))
        opacity = _pieces(strokes, digit_px[:first], difficulty, rng)
        canvas[:first].lerp_(_colours(light[:first], None, difficulty, rng), opacity)

    turn = np.deg2rad(rng.uniform(-difficulty.rotation_deg, difficulty.rotation_deg, n))
    reach_px = np.maximum(0.0, side_px - 0.9 * digit_px) / 2
    centre_px = rng.uniform(-1, 1, (n, 2)) * reach_px[:, None]
    opacity = _place(strokes[drawn], digit_px, turn, centre_px, side_px)
    canvas.lerp_(_colours(light, digit_light, difficulty, rng), opacity)

    sigma = rng.uniform(*difficulty.noise, n).astype(np.float32)[:, None, None, None]
    canvas += torch.from_numpy(rng.standard_normal((n, 1, side_px, side_px), dtype=np.float32) * sigma)
    pixels = (canvas.clamp_(0, 1) * 255).round_().to(torch.uint8)
    result: Images = pixels.permute(0, 2, 3, 1).contiguous().numpy()
    return result


def _pieces(
    strokes: NDArray[np.float32],
    digit_px: NDArray[np.float64],
    difficulty: Difficulty,
    rng: np.random.Generator,
) -> Any:
    """Returns the opacity [n, 1, canvas, canvas] of one piece of a random digit in each image."""
    n, side_px = len(digit_px), difficulty.canvas_px
    whole = strokes[rng.integers(len(strokes), size=n)]
    share = rng.uniform(*difficulty.fragment_share, n)
    # Windows lie in the middle of the source, where the strokes are; the rest is cut away.
    window = share * _SOURCE_PX
    corner = rng.uniform(0.05, 0.95 - share, (2, n)) * _SOURCE_PX
    across = np.arange(_SOURCE_PX) + 0.5
    inside = (across >= corner[..., None]) & (across <= (corner + window)[..., None])
    cut = whole * inside[0][:, :, None] * inside[1][:, None, :]
    scale_px = digit_px * rng.uniform(*difficulty.fragment_scale, n)
    turn = rng.uniform(-np.pi, np.pi, n)
    wanted_px = rng.uniform(-0.5, 0.5, (n, 2)) * side_px
    # The window's middle, not the source's, goes to the place wanted.
    middle = (corner + window / 2) / _SOURCE_PX - 0.5
    dy, dx = middle * scale_px
    shift = np.stack([np.cos(turn) * dx - np.sin(turn) * dy, np.sin(turn) * dx + np.cos(turn) * dy], axis=1)
    return _place(cut, scale_px, turn, wanted_px - shift, side_px)


def _place(
    sources: NDArray[np.float32],
    scale_px: NDArray[np.float64],
    turn: NDArray[np.float64],
    centre_px: NDArray[np.float64],
    side_px: int,
) -> Any:
    """Returns the sources [n, s, s] drawn with side `scale_px`, turned, centred (x, y from middle).

    A tensor [n, 1, canvas, canvas] of opacities.
    """
    import torch
    from torch.nn import functional

    grow = side_px / scale_px
    cos, sin = np.cos(turn) * grow, np.sin(turn) * grow
    x, y = (centre_px / (side_px / 2)).T
    # The same as torch's affine_grid, which is five times slower than the sampling itself.
    pixel = (np.arange(side_px) + 0.5) * (2 / side_px) - 1
    grid = torch.empty((len(sources), side_px, side_px, 2))
    for axis, (along_x, along_y) in enumerate([(cos, sin), (-sin, cos)]):
        across = _tensor(along_x[:, None] * (pixel - x[:, None]))
        down = _tensor(along_y[:, None] * (pixel - y[:, None]))
        torch.add(across[:, None, :], down[:, :, None], out=grid[..., axis])
    return functional.grid_sample(_tensor(sources)[:, None], grid, mode="bilinear", align_corners=False)


def _colours(
    light: NDArray[np.float64],
    offset: NDArray[np.float64] | None,
    difficulty: Difficulty,
    rng: np.random.Generator,
) -> Any:
    """Returns RGB [n, 3, 1, 1] that differ from the background by `offset`, random where None."""
    n = len(light)
    if offset is None:
        offset = rng.choice([-1.0, 1.0], n) * rng.uniform(*difficulty.contrast, n)
    rgb = (light + offset)[:, None] + rng.normal(0, difficulty.tint, (n, 3))
    return _tensor(np.clip(rgb, 0, 1)[:, :, None, None])


def _tensor(array: NDArray[Any]) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
