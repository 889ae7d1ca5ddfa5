"""From uint8 images to the tensors a network sees: sizes, normalising.

Shapes: N images in a batch, C = 3 channels, H and W px.
"""

from collections.abc import Iterator

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
    return normalised(torch.from_numpy(images), size_px, mean=mean, std=std)


def normalised(images_NHWC: Tensor, size_px: int, *, mean: PerChannel, std: PerChannel) -> Tensor:
    """Returns the same as `to_tensor` for uint8 images in a tensor, on its device."""
    x_NCHW = images_NHWC.permute(0, 3, 1, 2).to(torch.float32) / 255
    device = images_NHWC.device
    x_NCHW = x_NCHW.sub_(per_channel(mean).to(device)).div_(per_channel(std).to(device))
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


def batches(split: Split, batch_size: int, size_px: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields one pass of a split in its order: (x float32 [n, 3, s, s], y int64 [n]).

    Args:
        split: where images and labels come from.
        batch_size: at least 1; the last batch holds what is left over.
        size_px: side of the images given out.

    Raises:
        InputError: an image cannot be read.
    """
    for first in range(0, len(split), batch_size):
        chosen = np.arange(first, min(first + batch_size, len(split)))
        x = to_tensor(split.images(chosen), size_px, mean=split.mean, std=split.std)
        yield x, torch.from_numpy(split.labels[chosen])


def per_channel(values: PerChannel) -> Tensor:
    """Returns [3, 1, 1], for arithmetic with images."""
    return torch.tensor(values, dtype=torch.float32)[:, None, None]
