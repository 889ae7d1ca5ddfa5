"""Fake quantization with gradients: what training and recalibration run under a bitwidth policy.

The integers are those of `hwnas.profilers.onnx.quantizer`. Rounding passes gradients straight through;
a clipped activation passes none, a clipped weight does: it may come back.

Source: straight-through estimator, Bengio et al. (2013), section 4; ranges that follow the batch at
hand, Jacob et al. (2018), section 3.1.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hwnas.profilers.onnx.quantizer import CLIP_PARTS, CLIPPED_BITS, MAX_BITS, NOTHING
from hwnas.spaces import FLOAT_BITS
from hwnas.spaces.layer import Activation
from hwnas.supernet.learned_steps import learned_quantized

# Ranges are read off so many values at most: enough for the rarest one that is cut off.
_SAMPLED = 1 << 13
# The share of values cut off at either end, at 8 bits; each bit less doubles it, since the step that
# all other values are rounded with doubles too.
_CUT_OFF = 1e-4


def weight_steps(weight: Tensor, bits: int) -> Tensor:
    """Returns `quantizer.weight_scales` of a weight [out, ...], shaped [out, 1, ...], without gradient."""
    limit = 2 ** (bits - 1) - 1
    rows = weight.detach().flatten(1)
    largest = rows.abs().amax(1)
    largest = torch.where(largest > NOTHING, largest / limit, torch.ones_like(largest))
    steps = largest
    if bits <= CLIPPED_BITS:
        parts = torch.tensor(CLIP_PARTS, dtype=rows.dtype, device=rows.device)
        tried = (parts[:, None] * largest)[:, :, None]
        made = (rows / tried).round_().clamp_(-limit, limit).mul_(tried)
        errors = made.sub_(rows).square_().sum(2)
        steps = tried[:, :, 0].gather(0, errors.argmin(0, keepdim=True))[0]
    return steps.view(-1, *[1] * (weight.ndim - 1))


def fake_quantized_weight(weight: Tensor, bits: int, factor: Tensor | None = None) -> Tensor:
    """Returns the weights [out, ...] after quantizing and back; its gradient is the weights' own.

    Args:
        weight: [out, ...].
        bits: 32 leaves the weights as they are.
        factor: learned, [out], on the steps; they end at what reaches the largest magnitude, so that
            the largest integer is in use and who reads the result finds the very same steps.
    """
    if bits == FLOAT_BITS:
        return weight
    limit, steps = 2 ** (bits - 1) - 1, weight_steps(weight, bits)
    if factor is not None:
        most = weight_steps(weight, MAX_BITS) * ((2 ** (MAX_BITS - 1) - 1) / limit)
        steps = torch.minimum(steps * factor.view(-1, *[1] * (weight.ndim - 1)), most)
        end = steps.new_tensor(limit)
        return learned_quantized(weight, steps, -end, end)
    made = (weight.detach() / steps).round_().clamp_(-limit, limit).mul_(steps)
    straight: Tensor = _Straight.apply(weight, made)  # type: ignore[no-untyped-call]
    return straight


class _Straight(torch.autograd.Function):
    """Another tensor's values with the gradient of the first."""

    @staticmethod
    def forward(ctx: Any, _source: Tensor, made: Tensor) -> Tensor:
        """Returns the second tensor."""
        return made

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Returns the gradient as it is."""
        return gradient, None


class Range(NamedTuple):
    """The ends of an activation's range, tensors without dimensions."""

    low: Tensor
    high: Tensor


class ActivationStep(NamedTuple):
    """How an activation is quantized; tensors without dimensions.

    Attributes:
        scale: above zero.
        lowest, highest: the integers that the range ends at, counted from the one that stands for 0.
    """

    scale: Tensor
    lowest: Tensor
    highest: Tensor


def activation_step(ends: Range, bits: int) -> ActivationStep:
    """Returns what `quantizer.activation_quantizer` says of a range; the scale has the ends' gradient."""
    levels = 2**bits - 1
    low, high = ends.low.clamp(max=0.0), ends.high.clamp(min=0.0)
    scale = (high - low) / levels
    empty = scale < NOTHING
    scale = torch.where(empty, torch.ones_like(scale), scale)
    lowest = (low / scale).detach().round().clamp(-levels, 0)
    lowest = torch.where(empty, torch.zeros_like(lowest), lowest)
    return ActivationStep(scale, lowest, lowest + levels)


def fake_quantized(x: Tensor, step: ActivationStep) -> Tensor:
    """Returns an activation after quantizing and back; what is clipped has no gradient.

    Where the step is learned, its scale has one.
    """
    if step.scale.requires_grad:
        return learned_quantized(x, *step)
    made: Tensor = _FakeQuantized.apply(x, *step)  # type: ignore[no-untyped-call]
    return made


class _FakeQuantized(torch.autograd.Function):
    """Torch's own is slower on CPUs: it does not vectorise, and does not leave out the mask."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, lowest: Tensor, highest: Tensor) -> Tensor:
        """Returns the values that the integers stand for."""
        integers = x.div(scale).round_()
        if not ctx.needs_input_grad[0]:
            return integers.clamp_(lowest, highest).mul_(scale)
        kept = integers.clamp(lowest, highest)
        ctx.save_for_backward(kept == integers)
        return kept.mul_(scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Returns the gradient where nothing was clipped."""
        (inside,) = ctx.saved_tensors
        return gradient * inside, None, None, None


def range_of(x: Tensor, bits: int, before: Activation = "none") -> Range:
    """Returns the range that a batch of an activation is quantized in: all but the rarest values.

    Values are looked at every so many, evenly over channels; a share that grows as the bits
    become fewer is cut off at either end.

    Args:
        x: [N, C, H, W], without NaN.
        bits: of the activation.
        before: the function that comes next and whose flat ends are left out: nothing below -3
            matters to h_swish, nor above 3 to h_sigmoid.
    """
    values = _sampled(x.detach())
    rank = max(1, round(len(values) * _CUT_OFF * 2.0 ** (8 - bits)))
    low = -(-values).topk(rank).values[-1]
    high = values.topk(rank).values[-1]
    if before in ("h_swish", "h_sigmoid"):
        low = low.clamp(min=-3.0)
    return Range(low, high.clamp(max=3.0) if before == "h_sigmoid" else high)


def _sampled(x: Tensor) -> Tensor:
    """Returns some values of x [N, C, H, W], of all channels alike; always the same places."""
    channels = x.shape[1]
    stride = max(1, x.numel() // _SAMPLED)
    while math.gcd(stride, channels) > 1:
        stride -= 1
    return x.movedim(1, -1).reshape(-1)[::stride].float()
