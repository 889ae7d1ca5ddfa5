import pytest
import torch

from hwnas.data.augment import Augmentation, augment
from hwnas.data.rand_augment import rand_augment

pytest.importorskip("kornia")

OPS = Augmentation(shift_share=0.0, erase_probability=0.0, rand_augment_ops=2)


def images(n: int = 32) -> torch.Tensor:
    return torch.rand((n, 3, 24, 24), generator=torch.Generator().manual_seed(1))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_generator_alone_decides() -> None:
    x = images()
    before = x.clone()
    one = rand_augment(x, seeded(), 2, 9, 0, 32)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    same, other = rand_augment(x, seeded(), 2, 9, 0, 32), rand_augment(x, seeded(1), 2, 9, 0, 32)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(x, before)
    assert one.shape == x.shape
    assert 0 <= float(one.min()) <= float(one.max()) <= 1
    assert (one != x).flatten(1).any(1).float().mean() > 0.5


def test_a_part_of_a_batch_is_varied_as_in_the_whole() -> None:
    x = images()
    whole = rand_augment(x, seeded(), 2, 9, 0, 32)
    parts = [rand_augment(x[i : i + 16], seeded(), 2, 9, i, 32) for i in (0, 16)]
    assert torch.equal(torch.cat(parts), whole)


def test_normalised_images_go_through_the_scale_they_came_from() -> None:
    x = images()
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    scale, offset = torch.tensor(std)[:, None, None], torch.tensor(mean)[:, None, None]
    plain = augment(x, seeded(), OPS)
    normalised = augment((x - offset) / scale, seeded(), OPS, mean=mean, std=std)
    torch.testing.assert_close(normalised * scale + offset, plain, rtol=0, atol=2e-2)
    assert (normalised * scale + offset - plain).abs().mean() < 1e-4
