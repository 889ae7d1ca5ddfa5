"""From uint8 images to the tensors a network sees: sizes, normalising, shuffling, augmentation.

Shapes: N images in a batch, C = 3 channels, H and W px. Whatever is random depends on the
generator passed in and on nothing else, so that a resumed run repeats a killed one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hwnas.data.dataset import Images, PerChannel, Split


def to_tensor(images: Images, size_px: int, *, mean: PerChannel, std: PerChannel) -> Tensor:
    """Returns float32 [N, 3, size, size], normalised: (image / 255 - mean) / std per channel.

    Args:
        images: uint8 [N, H, W, 3].
        size_px: side of the result; images of another size are resized as `resize` does.
        mean: of each channel, on the 0..1 scale; a `Split` carries its own.
        std: of each channel, on the 0..1 scale.
    """
    x_NCHW = torch.from_numpy(images).permute(0, 3, 1, 2).to(torch.float32) / 255
    x_NCHW = x_NCHW.sub_(_per_channel(mean)).div_(_per_channel(std))
    return resize(x_NCHW, size_px).contiguous()


def resize(x_NCHW: Tensor, size_px: int) -> Tensor:
    """Returns the images at `size_px` x `size_px`: bilinear, antialiased when shrinking.

    Commutes with normalising, so one batch can be normalised once and fed at several sizes.
    """
    if x_NCHW.shape[2:] == (size_px, size_px):
        return x_NCHW
    return functional.interpolate(
        x_NCHW, size=(size_px, size_px), mode="bilinear", antialias=True, align_corners=False
    )


def batches(
    split: Split,
    batch_size: int,
    size_px: int,
    rng: np.random.Generator | None = None,
    *,
    start: int = 0,
    drop_last: bool = False,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Returns an iterator over one pass of the split: (x float32 [n, 3, s, s], y int64 [n]).

    The order is drawn from `rng` at once, in the call, with a number of draws that depends on the
    split alone. So a run that was stopped after k batches goes on by restoring the generator's
    state from before the call and passing `start=k`.

    Args:
        split: where images and labels come from.
        batch_size: at least 1; the last batch holds what is left over.
        size_px: side of the images given out.
        rng: shuffles; without it the order is that of the split.
        start: batches to skip, without decoding them.
        drop_last: leaves out a last batch that is not full.

    Raises:
        InputError: an image cannot be read (while iterating).
    """
    order = np.arange(len(split)) if rng is None else rng.permutation(len(split))
    stop = len(order) - len(order) % batch_size if drop_last else len(order)

    def give() -> Iterator[tuple[Tensor, Tensor]]:
        for first in range(start * batch_size, stop, batch_size):
            chosen = order[first : first + batch_size]
            x = to_tensor(split.images(chosen), size_px, mean=split.mean, std=split.std)
            yield x, torch.from_numpy(split.labels[chosen])

    return give()


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How training images are varied.

    Attributes:
        shift_share: largest shift either way, as a share of the side; borders are repeated.
        erase_probability: share of the images that get a grey square.
        erase_share: side of that square, as a share of the image's side.
        mirror: whether half of the images are mirrored left to right; never for digits or text.
    """

    shift_share: float = 1 / 12
    erase_probability: float = 0.25
    erase_share: float = 0.25
    mirror: bool = False


def augment(x_NCHW: Tensor, generator: torch.Generator, augmentation: Augmentation | None = None) -> Tensor:
    """Returns varied copies of normalised images, each image in its own way.

    Args:
        x_NCHW: [N, C, H, W], on any device; left as it is.
        generator: a generator of the CPU; the same state gives the same result on any device.
        augmentation: `Augmentation()` where not given.
    """
    settings = augmentation or Augmentation()
    n, _, height, width = x_NCHW.shape
    chance = torch.rand((6, n), generator=generator).to(x_NCHW.device)

    def positions(side_px: int, share: Tensor) -> Tensor:
        reach = int(settings.shift_share * side_px)
        shift = (share * (2 * reach + 1)).long() - reach
        return (torch.arange(side_px, device=x_NCHW.device) + shift[:, None]).clamp(0, side_px - 1)

    rows, columns = positions(height, chance[0]), positions(width, chance[1])
    if settings.mirror:
        columns = torch.where(chance[2][:, None] < 0.5, columns.flip(1), columns)
    image = torch.arange(n, device=x_NCHW.device)[:, None, None]
    shifted = x_NCHW.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]]
    shifted = shifted.permute(0, 3, 1, 2).contiguous()

    def inside(side_px: int, share: Tensor) -> Tensor:
        length = int(settings.erase_share * side_px)
        first = (share * (side_px - length + 1)).long()[:, None]
        place = torch.arange(side_px, device=x_NCHW.device)
        return (place >= first) & (place < first + length)

    erased = inside(height, chance[3])[:, :, None] & inside(width, chance[4])[:, None, :]
    erased &= (chance[5] < settings.erase_probability)[:, None, None]
    return shifted.masked_fill_(erased[:, None], 0.0)


def _per_channel(values: PerChannel) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)[:, None, None]
