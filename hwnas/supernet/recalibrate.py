"""Batch normalisation statistics of one architecture, taken anew.

Statistics in a supernet are a mixture over all architectures and fit none of them; without new ones
a subnet's accuracy collapses.
"""

import copy
from collections.abc import Callable, Iterable
from typing import TypeVar

import torch
from torch import Tensor, nn

from hwnas.errors import InputError

AnyModule = TypeVar("AnyModule", bound=nn.Module)


def recalibrate(module: AnyModule, batches: Iterable[Tensor]) -> AnyModule:
    """Returns a copy in evaluation mode whose normalisation statistics are those of the images.

    Each normalisation works with the statistics of the batch at hand while the images pass; the
    new ones are averages over the batches, weighted by their sizes, of means and of *biased*
    variances (divided by the number of values, not by one less).

    Args:
        module: a static network, such as an extracted subnet; it is left as it is.
        batches: float images [n, C, H, W], normalised, at the size the network will see.

    Raises:
        InputError: there is no batch, or one in which a normalisation sees a single value.

    Source: Once-for-All (Cai et al., 2020), official code, `set_running_statistics`.
    """
    return recalibrate_in_place(copy.deepcopy(module), batches)


def recalibrate_in_place(
    module: AnyModule, batches: Iterable[Tensor], run: Callable[[Tensor], object] | None = None
) -> AnyModule:
    """Returns the module itself, recalibrated as by `recalibrate`.

    Args:
        module: a static network.
        batches: as `recalibrate` has them.
        run: passes a batch through the module in a way of its own, such as quantized.
    """
    module.eval()
    run = run or module
    averages = [_Average(part) for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    num_images = 0
    try:
        with torch.no_grad():
            for x_NCHW in batches:
                num_images += len(x_NCHW)
                run(x_NCHW)
    finally:
        for average in averages:
            average.close()
    if num_images == 0:
        raise InputError("BN recalibration needs images, but got none; is the calibrate split empty?")
    for average in averages:
        average.settle()
    return module


class _Average:
    """Running sums of one normalisation's batch statistics."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        self._norm, self._num_images = norm, 0
        self._sums = torch.zeros_like(torch.stack(statistics(norm)), dtype=torch.float64)
        self._handle = norm.register_forward_pre_hook(self._add)

    def _add(self, norm: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
        (x_NCHW,) = inputs
        if x_NCHW.numel() <= norm.num_features:
            raise InputError(
                "BN recalibration needs more than one value a channel in each batch; give larger batches"
            )
        # The normalisation then works in evaluation mode with the very numbers that are averaged:
        # after a single batch the network answers, to the last bit, as it did on that batch.
        found = torch.batch_norm_update_stats(x_NCHW, None, None, 0.0)
        for own, new in zip(statistics(norm), found, strict=True):
            own.copy_(new)
        self._sums += len(x_NCHW) * torch.stack(found)
        self._num_images += len(x_NCHW)

    def close(self) -> None:
        """Leaves the normalisation without the hook."""
        self._handle.remove()

    def settle(self) -> None:
        """Writes the averages into the normalisation; one that never ran keeps what it had."""
        if self._num_images:
            for own, total in zip(statistics(self._norm), self._sums, strict=True):
                own.copy_(total / self._num_images)


def statistics(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Returns the running mean and variance of a normalisation, the tensors themselves."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return norm.running_mean, norm.running_var
