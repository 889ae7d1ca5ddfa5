"""Batches: the right numbers, in an order that the generator alone decides."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.data import ArraySplit
from hwnas.data.batches import Augmentation, augment, batches, resize, to_tensor

MEAN, STD = (0.5, 0.25, 0.0), (0.5, 0.25, 1.0)
UNVARIED = Augmentation(shift_share=0.0, erase_probability=0.0)


def _split(n: int = 23, side_px: int = 8) -> ArraySplit:
    rng = np.random.default_rng(0)
    return ArraySplit(
        labels=np.arange(n, dtype=np.int64),
        mean=MEAN,
        std=STD,
        pixels=rng.integers(0, 256, (n, side_px, side_px, 3), dtype=np.uint8),
    )


def _noise(n: int = 40, side_px: int = 24) -> torch.Tensor:
    return torch.randn((n, 3, side_px, side_px), generator=torch.Generator().manual_seed(1))


def test_to_tensor_by_hand() -> None:
    images = np.zeros((1, 2, 2, 3), np.uint8)
    images[0, 1, 0] = (255, 102, 51)
    x = to_tensor(images, 2, mean=MEAN, std=STD)
    assert x.dtype == torch.float32
    assert x.shape == (1, 3, 2, 2)
    assert x.is_contiguous()
    torch.testing.assert_close(x[0, :, 1, 0], torch.tensor([1.0, 0.6, 0.2]))
    torch.testing.assert_close(x[0, :, 0, 0], torch.tensor([-1.0, -1.0, 0.0]))


def test_to_tensor_leaves_the_images_alone() -> None:
    images = _split().images([0, 1])
    before = images.copy()
    to_tensor(images, 8, mean=MEAN, std=STD)
    np.testing.assert_array_equal(images, before)


def test_shrinking_is_antialiased() -> None:
    stripes = torch.zeros(1, 3, 16, 16)
    stripes[..., ::2] = 1.0
    shrunk = resize(stripes, 4)
    assert (shrunk - 0.5).abs().max() < 0.1


@given(size_px=st.integers(1, 40))
@settings(max_examples=15, deadline=None)
def test_resize_commutes_with_normalising(size_px: int) -> None:
    images = _split().images([0, 1])
    once = to_tensor(images, size_px, mean=MEAN, std=STD)
    assert once.shape == (2, 3, size_px, size_px)
    torch.testing.assert_close(once, resize(to_tensor(images, 8, mean=MEAN, std=STD), size_px))


@given(
    n=st.integers(0, 30),
    batch_size=st.integers(1, 9),
    seed=st.none() | st.integers(0, 5),
    start=st.integers(0, 4),
    drop_last=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_batches_cover_the_split_once_and_resume(
    n: int, batch_size: int, seed: int | None, start: int, drop_last: bool
) -> None:
    def labels(start: int) -> list[list[int]]:
        rng = None if seed is None else np.random.default_rng(seed)
        made = batches(_split(n), batch_size, 8, rng, start=start, drop_last=drop_last)
        return [y.tolist() for _, y in made]

    whole = labels(0)
    flat = [label for batch in whole for label in batch]
    assert len(set(flat)) == len(flat) == (n - n % batch_size if drop_last else n)
    assert all(len(batch) == batch_size for batch in whole[:-1])
    assert labels(start) == whole[start:]
    if seed is None:
        assert flat == list(range(len(flat)))


def test_batches_pair_images_with_their_labels() -> None:
    split = _split()
    for x, y in batches(split, 5, 8, np.random.default_rng(3)):
        assert y.dtype == torch.int64
        wanted = to_tensor(split.images(y.numpy()), 8, mean=MEAN, std=STD)
        torch.testing.assert_close(x, wanted, rtol=0, atol=0)


def test_the_order_is_drawn_in_the_call() -> None:
    rng, other = np.random.default_rng(0), np.random.default_rng(0)
    waiting = batches(_split(), 4, 8, rng)
    other.permutation(23)
    assert rng.bit_generator.state == other.bit_generator.state
    list(waiting)
    assert rng.bit_generator.state == other.bit_generator.state


def test_augment_without_effect_changes_nothing() -> None:
    x = _noise()
    torch.testing.assert_close(augment(x, torch.Generator(), UNVARIED), x, rtol=0, atol=0)


def test_augment_repeats_for_the_same_generator() -> None:
    x = _noise()
    before = x.clone()
    one, same, other = (augment(x, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    torch.testing.assert_close(one, same, rtol=0, atol=0)
    assert not torch.equal(one, other)
    torch.testing.assert_close(x, before, rtol=0, atol=0)


@pytest.mark.parametrize("side_px", [24, 32])
def test_augment_shifts_within_reach(side_px: int) -> None:
    place = torch.arange(float(side_px)).expand(200, 1, side_px, side_px)
    shifted = augment(place, torch.Generator().manual_seed(0), Augmentation(erase_probability=0.0))
    middle = shifted[:, 0, side_px // 2, side_px // 2] - side_px // 2
    assert {int(value) for value in middle} == set(range(-2, 3))
    assert shifted.min() == 0
    assert shifted.max() == side_px - 1


def test_augment_mirrors_half() -> None:
    x = _noise(200)
    mirrored = augment(
        x,
        torch.Generator().manual_seed(0),
        Augmentation(shift_share=0.0, erase_probability=0.0, mirror=True),
    )
    turned = [torch.equal(one, other.flip(2)) for one, other in zip(mirrored, x, strict=True)]
    kept = [torch.equal(one, other) for one, other in zip(mirrored, x, strict=True)]
    assert sum(turned) + sum(kept) == 200
    assert 70 < sum(turned) < 130


def test_augment_erases_a_square_of_some() -> None:
    x = torch.ones(400, 3, 24, 24)
    erased = augment(x, torch.Generator().manual_seed(0), Augmentation(shift_share=0.0))
    holes = (erased == 0).sum((1, 2, 3))
    assert set(holes.tolist()) == {0, 3 * 6 * 6}
    assert 0.15 < (holes > 0).float().mean() < 0.35
