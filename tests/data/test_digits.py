"""The digits: disjoint sources, drawn the same each time, hard in the ways the settings say."""

from dataclasses import replace

import numpy as np
import pytest

from hwnas.data import SPLITS, get_dataset
from hwnas.data.digits import Difficulty, DigitsSplit, SplitSizes, digits

SMALL = SplitSizes(train=120, calibrate=30, validate=40, test=50)
PLAIN = Difficulty(
    digit_px=(40.0, 40.0),
    rotation_deg=0.0,
    num_fragments=(0, 0),
    contrast=(0.9, 0.9),
    tint=0.0,
    shading=0.0,
    noise=(0.0, 0.0),
)


def _split(name: str, sizes: SplitSizes = SMALL, difficulty: Difficulty | None = None) -> DigitsSplit:
    split = digits(difficulty, sizes).split(name)
    assert isinstance(split, DigitsSplit)
    return split


def test_sizes_by_default() -> None:
    dataset = get_dataset("digits")
    assert [len(dataset.split(name)) for name in SPLITS] == [16_000, 2_000, 6_000, 6_000]
    # At the worst accuracy of interest, 85 %, the standard error stays within 0.6 points.
    assert 100 * (0.70 * 0.30 / 6_000) ** 0.5 <= 0.6


def test_sources_are_disjoint_and_stratified() -> None:
    sources = {name: _split(name).originals for name in SPLITS}
    seen: set[bytes] = set()
    for originals in sources.values():
        own = {image.tobytes() for image in originals}
        assert not own & seen
        seen |= own
    assert sum(map(len, sources.values())) == 1797
    for name in SPLITS:
        counts = np.bincount(_split(name, SplitSizes()).labels, minlength=10)
        assert counts.min() > 0.85 * counts.max()


def test_every_source_is_drawn_equally_often() -> None:
    split = _split("test", replace(SMALL, test=1000))
    counts = np.bincount(split.drawn, minlength=len(split.originals))
    assert counts.max() - counts.min() <= 1


def test_labels_are_those_of_the_digit_drawn() -> None:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    known = {
        image.astype(np.uint8).tobytes(): label
        for image, label in zip(bunch.images, bunch.target, strict=True)
    }
    split = _split("validate")
    drawn = [known[split.originals[source].tobytes()] for source in split.drawn]
    np.testing.assert_array_equal(split.labels, drawn)


def test_plain_drawing_shows_the_source() -> None:
    split = _split("train", replace(SMALL, train=600), PLAIN)
    images = split.images(np.arange(len(split)))[..., 0].astype(float) / 255
    blocks = []
    for image, source in zip(images, split.drawn, strict=True):
        opacity = np.abs(image - np.median(image[0])) / 0.9
        rows, columns = (np.flatnonzero(opacity.max(axis) > 0.5) for axis in (1, 0))
        original = split.originals[source] / 16
        top, left = (np.flatnonzero(original.max(axis) > 0.5)[0] for axis in (1, 0))
        y, x = rows[0] - 5 * top, columns[0] - 5 * left  # 40 px for 8: 5 px each
        padded = np.pad(opacity, 12)[max(y + 12, 0) :, max(x + 12, 0) :][:40, :40]
        coarse = padded.reshape(8, 5, 8, 5).mean((1, 3))
        blocks.append(np.corrcoef(coarse.ravel(), original.ravel())[0, 1])
    assert np.median(blocks) > 0.8


def test_prefix_of_a_larger_split_is_the_same() -> None:
    small = _split("test", replace(SMALL, test=250)).images(np.arange(250))
    large = _split("test", replace(SMALL, test=500)).images(np.arange(250))
    np.testing.assert_array_equal(small, large)


def test_odd_sizes_are_drawn_in_full() -> None:
    split = _split("test", replace(SMALL, test=251))
    assert split.images(np.arange(251)).std(axis=(1, 2, 3)).min() > 0
    assert len(_split("test", replace(SMALL, test=0)).images([])) == 0


@pytest.mark.parametrize("contrast", [(0.0, 0.0), (0.9, 0.9)])
def test_contrast_decides_whether_there_is_something_to_see(
    contrast: tuple[float, float],
) -> None:
    images = _split("test", difficulty=replace(PLAIN, contrast=contrast)).images(np.arange(50))
    spread = images.astype(int).max((1, 2, 3)) - images.min((1, 2, 3))
    assert (spread == 0).all() if contrast[1] == 0 else (spread > 200).all()


def test_pieces_are_drawn() -> None:
    without = _split("test", difficulty=replace(PLAIN, contrast=(0.0, 0.0))).images(np.arange(50))
    pieces = replace(PLAIN, num_fragments=(3, 3), fragment_scale=(1.0, 1.0))
    both = _split("test", difficulty=pieces).images(np.arange(50))
    one = _split("test", difficulty=PLAIN).images(np.arange(50))
    assert without.std(axis=(1, 2, 3)).max() == 0
    flat = [np.mean([np.bincount(i.ravel()).max() for i in images]) for images in (both, one)]
    assert flat[0] < 0.95 * flat[1]  # less of the background is left


def test_fingerprint_changes_with_every_setting() -> None:
    made = [
        digits(sizes=SMALL),
        digits(),
        digits(sizes=SMALL, seed=1),
        digits(replace(Difficulty(), canvas_px=64), SMALL),
        digits(replace(Difficulty(), noise=(0.0, 0.1)), SMALL),
    ]
    assert len({dataset.fingerprint for dataset in made}) == len(made)
    assert made[3].canvas_px == 64


def test_another_seed_splits_and_draws_otherwise() -> None:
    one, other = digits(sizes=SMALL).split("test"), digits(sizes=SMALL, seed=1).split("test")
    assert not np.array_equal(one.images([0]), other.images([0]))
