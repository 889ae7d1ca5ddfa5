"""RandAugment, by kornia.

Source: RandAugment (Cubuk et al., 2020).
"""

import torch
from torch import Tensor

from hwnas.errors import UnavailableError

# Kornia draws operations once a call, and magnitudes for each image: so many images share them.
_TOGETHER = 8


def rand_augment(
    x_NCHW: Tensor, generator: torch.Generator, ops: int, magnitude: int, place: int, total: int
) -> Tensor:
    """Returns varied copies of images on the 0..1 scale.

    Each eight images of the whole batch go through operations of their own. Where a batch is shared
    out over processes, what is done to an image does not depend on that, as long as each process
    has a multiple of eight.

    Args:
        x_NCHW: [N, 3, H, W], on any device.
        generator: a generator of the CPU.
        ops: operations for each image, at least 1.
        magnitude: above 0 and below 30.
        place: of the first image in the whole batch.
        total: images in the whole batch.

    Raises:
        UnavailableError: kornia is not installed.
    """
    try:
        from kornia.augmentation.auto import RandAugment
    except ImportError as error:
        raise UnavailableError(
            'RandAugment needs kornia, which is not installed: pip install "hwnas[augment]", or leave '
            "out --rand-augment"
        ) from error
    seeds = torch.randint(2**62, (-(-total // _TOGETHER),), generator=generator).tolist()
    policy = RandAugment(n=ops, m=magnitude)
    made = []
    # Kornia draws from the global generators, which are put back afterwards.
    with torch.random.fork_rng([x_NCHW.device] if x_NCHW.is_cuda else []), torch.no_grad():
        first = 0
        while first < len(x_NCHW):
            group, inside = divmod(place + first, _TOGETHER)
            stop = min(len(x_NCHW), first + _TOGETHER - inside)
            torch.manual_seed(seeds[group])
            made.append(policy(x_NCHW[first:stop]).clamp(0, 1))
            first = stop
    return torch.cat(made)
