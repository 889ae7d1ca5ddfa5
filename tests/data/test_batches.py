"""Batches: the right numbers, in order."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.data import ArraySplit
from hwnas.data.batches import batches, resize, to_tensor

MEAN, STD = (0.5, 0.25, 0.0), (0.5, 0.25, 1.0)


def _split(n: int = 23, side_px: int = 8) -> ArraySplit:
    rng = np.random.default_rng(0)
    return ArraySplit(
        labels=np.arange(n, dtype=np.int64),
        mean=MEAN,
        std=STD,
        pixels=rng.integers(0, 256, (n, side_px, side_px, 3), dtype=np.uint8),
    )


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


@given(n=st.integers(0, 30), batch_size=st.integers(1, 9))
@settings(max_examples=30, deadline=None)
def test_batches_cover_the_split_once_in_order(n: int, batch_size: int) -> None:
    split = _split(n)
    given_out = []
    for x, y in batches(split, batch_size, 8):
        assert y.dtype == torch.int64
        wanted = to_tensor(split.images(y.numpy()), 8, mean=MEAN, std=STD)
        torch.testing.assert_close(x, wanted, rtol=0, atol=0)
        assert 0 < len(y) <= batch_size
        given_out += y.tolist()
    assert given_out == list(range(n))
