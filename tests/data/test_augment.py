"""Augmentation: what it does, and that the generator alone decides."""

import sys
from dataclasses import replace

import pytest
import torch

from hwnas.data.augment import Augmentation, augment
from hwnas.errors import InputError, UnavailableError

UNVARIED = Augmentation(shift_share=0.0, erase_probability=0.0)
EVERYTHING = Augmentation(crop_area=0.3, mirror=True)


def noise(n: int = 40, side_px: int = 24) -> torch.Tensor:
    return torch.randn((n, 3, side_px, side_px), generator=torch.Generator().manual_seed(1))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_without_effect_nothing_changes() -> None:
    x = noise()
    torch.testing.assert_close(augment(x, torch.Generator(), UNVARIED), x, rtol=0, atol=0)


@pytest.mark.parametrize("settings", [Augmentation(), EVERYTHING])
def test_the_same_generator_gives_the_same(settings: Augmentation) -> None:
    x = noise()
    before = x.clone()
    one, same, other = (augment(x, seeded(seed), settings) for seed in (0, 0, 1))
    torch.testing.assert_close(one, same, rtol=0, atol=0)
    assert not torch.equal(one, other)
    torch.testing.assert_close(x, before, rtol=0, atol=0)


def test_a_part_of_a_batch_is_varied_as_in_the_whole() -> None:
    x = noise(32)
    whole = augment(x, seeded(), EVERYTHING)
    parts = [augment(x[i : i + 8], seeded(), EVERYTHING, place=i, total=32) for i in range(0, 32, 8)]
    assert torch.equal(torch.cat(parts), whole)


@pytest.mark.parametrize("side_px", [24, 32])
def test_shifts_stay_within_reach(side_px: int) -> None:
    place = torch.arange(float(side_px)).expand(200, 1, side_px, side_px)
    shifted = augment(place, seeded(), Augmentation(erase_probability=0.0))
    middle = shifted[:, 0, side_px // 2, side_px // 2] - side_px // 2
    assert {int(value) for value in middle} == set(range(-2, 3))
    assert shifted.min() == 0
    assert shifted.max() == side_px - 1


def test_half_are_mirrored() -> None:
    x = noise(200)
    mirrored = augment(x, seeded(), replace(UNVARIED, mirror=True))
    turned = [torch.equal(one, other.flip(2)) for one, other in zip(mirrored, x, strict=True)]
    kept = [torch.equal(one, other) for one, other in zip(mirrored, x, strict=True)]
    assert sum(turned) + sum(kept) == 200
    assert 70 < sum(turned) < 130


def test_a_square_of_some_is_erased() -> None:
    x = torch.ones(400, 3, 24, 24)
    erased = augment(x, seeded(), Augmentation(shift_share=0.0))
    holes = (erased == 0).sum((1, 2, 3))
    assert set(holes.tolist()) == {0, 3 * 6 * 6}
    assert 0.15 < (holes > 0).float().mean() < 0.35


def test_crops_are_parts_of_the_stated_area() -> None:
    ramp = torch.arange(64.0).expand(300, 3, 64, 64)  # the value is the column
    both = torch.cat([ramp, ramp.transpose(2, 3)], 1)[:, [0, 3, 3]]
    cropped = augment(both, seeded(), replace(UNVARIED, crop_area=0.25))
    step = cropped[:, :, 32, 32] - cropped[:, :, 31, 31]
    width, height = step[:, 0], step[:, 1]
    area, ratio = width * height, width / height
    assert 0.24 < area.min() < 0.35
    assert 0.9 < area.max() < 1.01
    assert 0.74 < ratio.min() < 0.85
    assert 1.18 < ratio.max() < 1.35
    assert cropped.min() >= 0
    assert cropped.max() <= 63


@pytest.mark.parametrize(
    "wrong",
    [
        {"crop_area": 0.0},
        {"shift_share": 1.0},
        {"erase_probability": 1.5},
        {"erase_share": -0.1},
        {"rand_augment_ops": -1},
        {"rand_augment_magnitude": 30},
    ],
)
def test_values_out_of_range_are_refused(wrong) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        Augmentation(**wrong)


def test_without_kornia_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kornia.augmentation.auto", None)
    with pytest.raises(UnavailableError, match=r'pip install "hwnas\[augment\]"'):
        augment(noise(2), seeded(), Augmentation(rand_augment_ops=1))
