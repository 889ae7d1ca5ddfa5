"""Batch normalisation by the statistics of a batch that is shared out over processes.

Shapes: N images of this process, C channels; every process has as many images.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from hwnas.supernet.training.distributed import Group


def synchronised(group: Group) -> Callable[..., Tensor]:
    """Returns a function like torch's `batch_norm` whose batch is that of the whole group.

    Running statistics become what torch makes of the whole batch: an average with its mean and its
    unbiased variance.
    """

    def batch_norm(
        x_NCHW: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        weight: Tensor,
        bias: Tensor,
        training: bool,
        momentum: float,
        eps: float,
    ) -> Tensor:
        if not training:
            return functional.batch_norm(x_NCHW, running_mean, running_var, weight, bias, False, 0.0, eps)
        with torch.no_grad():
            mean, var = _statistics(x_NCHW, group)
            num_values = group.size * x_NCHW.numel() // x_NCHW.shape[1]
            running_mean.lerp_(mean, momentum)
            running_var.lerp_(var * (num_values / max(1, num_values - 1)), momentum)
        made: Tensor = _Normalise.apply(x_NCHW, weight, bias, mean, var, eps, group)  # type: ignore[no-untyped-call]
        return made

    return batch_norm


def _statistics(x_NCHW: Tensor, group: Group) -> tuple[Tensor, Tensor]:
    """Returns mean and biased variance [C] over the batch of the group.

    Each process gives its own two, which loses no digits where sums of squares would.
    """
    own_var, own_mean = torch.var_mean(x_NCHW.float(), (0, 2, 3), correction=0)
    gathered = group.gather(torch.stack([own_mean, own_var]))
    mean = gathered[:, 0].mean(0)
    return mean, (gathered[:, 1] + (gathered[:, 0] - mean).square()).mean(0)


class _Normalise(torch.autograd.Function):
    """x to (x - mean) / sqrt(var + eps) * weight + bias, mean and var being functions of x."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, eps: float, group: Group
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, torch.rsqrt(var + eps))
        ctx.group = group
        made = functional.batch_norm(x.float(), mean, var, weight, bias, False, 0.0, eps)
        return made.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, scale = ctx.saved_tensors
        gradient = gradients[0].float()

        def along(values: Tensor) -> Tensor:
            return values[None, :, None, None]

        centred = (x.float() - along(mean)) * along(scale)
        own = torch.stack([gradient.sum((0, 2, 3)), (gradient * centred).sum((0, 2, 3))])
        sums = own.clone()
        ctx.group.sum(sums)
        sums /= ctx.group.size * x.numel() // x.shape[1]
        inner = gradient - along(sums[0]) - centred * along(sums[1])
        return (inner * along(scale * weight)).to(x.dtype), own[1], own[0], None, None, None, None
