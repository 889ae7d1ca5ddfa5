"""Varied copies of training images; what is drawn depends on the generator passed in alone.

Shapes: N images in a batch, C = 3 channels, H and W px.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hwnas.data.batches import per_channel
from hwnas.data.dataset import PerChannel
from hwnas.errors import InputError

_RATIO = 4 / 3  # largest of width to height, and of height to width, in a cut of the image


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How training images are varied, in this order.

    Attributes:
        rand_augment_ops: how many of RandAugment's operations each image goes through; 0 for none.
            Needs kornia (`pip install "hwnas[augment]"`).
        rand_augment_magnitude: of these operations, above 0 and below 30.
        crop_area: smallest area of the random part of an image that fills the whole, as a share; 1
            keeps images whole, 0.08 is usual for ImageNet, 0.35 for small networks.
        shift_share: largest shift either way, as a share of the side; borders are repeated.
        mirror: whether half of the images are mirrored left to right; never for digits or text.
        erase_probability: share of the images that get a grey square.
        erase_share: side of that square, as a share of the image's side.
    """

    rand_augment_ops: int = 0
    rand_augment_magnitude: int = 9
    crop_area: float = 1.0
    shift_share: float = 1 / 12
    erase_probability: float = 0.25
    erase_share: float = 0.25
    mirror: bool = False

    def __post_init__(self) -> None:
        """Raises InputError for a value out of its range."""
        within = {
            "rand_augment_ops": self.rand_augment_ops >= 0,
            "rand_augment_magnitude": 0 < self.rand_augment_magnitude < 30,
            "crop_area": 0 < self.crop_area <= 1,
            "shift_share": 0 <= self.shift_share < 1,
            "erase_probability": 0 <= self.erase_probability <= 1,
            "erase_share": 0 <= self.erase_share <= 1,
        }
        for name, fits in within.items():
            if not fits:
                raise InputError(f"augmentation: {name} is out of its range: {getattr(self, name)}")


def augment(
    x_NCHW: Tensor,
    generator: torch.Generator,
    augmentation: Augmentation | None = None,
    *,
    mean: PerChannel = (0.0, 0.0, 0.0),
    std: PerChannel = (1.0, 1.0, 1.0),
    place: int = 0,
    total: int | None = None,
) -> Tensor:
    """Returns varied copies of normalised images, each image in its own way.

    Args:
        x_NCHW: [N, C, H, W], on any device; left as it is.
        generator: a generator of the CPU; the same state gives the same result on any device.
        augmentation: `Augmentation()` where not given.
        mean: what the images were normalised with, on the 0..1 scale; RandAugment must know.
        std: the same.
        place: of the first image in a batch that is shared out over processes.
        total: images in that batch; what is drawn for an image does not depend on the sharing.

    Raises:
        UnavailableError: RandAugment is asked for and kornia is not installed.
    """
    settings = augmentation or Augmentation()
    n, total = len(x_NCHW), total or len(x_NCHW)
    chance = torch.rand((6, total), generator=generator)[:, place : place + n].to(x_NCHW.device)
    if settings.rand_augment_ops:
        from hwnas.data.rand_augment import rand_augment

        ops, magnitude = settings.rand_augment_ops, settings.rand_augment_magnitude
        scale, offset = per_channel(std).to(x_NCHW.device), per_channel(mean).to(x_NCHW.device)
        plain = (x_NCHW * scale + offset).clamp(0, 1)
        x_NCHW = (rand_augment(plain, generator, ops, magnitude, place, total) - offset) / scale
    if settings.crop_area < 1:
        where = torch.rand((4, total), generator=generator)[:, place : place + n].to(x_NCHW.device)
        x_NCHW = _cropped(x_NCHW, where, settings.crop_area)
    return _erased(_shifted(x_NCHW, chance, settings), chance, settings)


def _cropped(x_NCHW: Tensor, where: Tensor, smallest_area: float) -> Tensor:
    """Returns a random part of each image at the size of the whole, bilinear."""
    area = smallest_area + (1 - smallest_area) * where[0]
    root_ratio = torch.exp((where[1] - 0.5) * math.log(_RATIO))
    share = torch.stack([area.sqrt() * root_ratio, area.sqrt() / root_ratio]).clamp(max=1.0)
    centre = (2 * where[2:] - 1) * (1 - share)
    theta = torch.zeros(len(x_NCHW), 2, 3, device=x_NCHW.device)
    theta[:, [0, 1], [0, 1]] = share.T
    theta[:, :, 2] = centre.T
    grid = functional.affine_grid(theta, list(x_NCHW.shape), align_corners=False)
    return functional.grid_sample(x_NCHW, grid, padding_mode="border", align_corners=False)


def _shifted(x_NCHW: Tensor, chance: Tensor, settings: Augmentation) -> Tensor:
    n, _, height, width = x_NCHW.shape

    def positions(side_px: int, share: Tensor) -> Tensor:
        reach = int(settings.shift_share * side_px)
        shift = (share * (2 * reach + 1)).long() - reach
        return (torch.arange(side_px, device=x_NCHW.device) + shift[:, None]).clamp(0, side_px - 1)

    rows, columns = positions(height, chance[0]), positions(width, chance[1])
    if settings.mirror:
        columns = torch.where(chance[2][:, None] < 0.5, columns.flip(1), columns)
    image = torch.arange(n, device=x_NCHW.device)[:, None, None]
    shifted = x_NCHW.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]]
    return shifted.permute(0, 3, 1, 2).contiguous()


def _erased(fresh_NCHW: Tensor, chance: Tensor, settings: Augmentation) -> Tensor:
    """Returns the images themselves, grey squares written into them."""
    _, _, height, width = fresh_NCHW.shape

    def inside(side_px: int, share: Tensor) -> Tensor:
        length = int(settings.erase_share * side_px)
        first = (share * (side_px - length + 1)).long()[:, None]
        place = torch.arange(side_px, device=fresh_NCHW.device)
        return (place >= first) & (place < first + length)

    erased = inside(height, chance[3])[:, :, None] & inside(width, chance[4])[:, None, :]
    erased &= (chance[5] < settings.erase_probability)[:, None, None]
    return fresh_NCHW.masked_fill_(erased[:, None], 0.0)
