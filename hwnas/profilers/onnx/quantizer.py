"""The quantizer: one definition for fake quantization in training and for the nodes of exported files.

Weights are symmetric, one scale for each output channel; activations are unsigned and affine, one
scale and zero point for each tensor. All bitwidths up to 8 live in 8-bit containers with a
narrowed range. Rounding is half to even, as ONNX's QuantizeLinear, `numpy.rint` and `torch.round`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import InputError
from hwnas.spaces import Network, activation_bits

Floats = NDArray[np.float32]

MAX_BITS = 8
# Up to so many bits the range of weights is the one of least squared error among these parts of the
# largest magnitude; with more bits the largest magnitude itself is as good.
CLIPPED_BITS = 4
CLIP_PARTS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45, 0.4)
# A channel whose weights are all below this is zero to float32 once anything is added to it.
NOTHING = 1e-12
# Biases stay a factor of two inside int32, so that adding the products cannot overflow either.
_BIAS_LIMIT = 2**30


@dataclass(frozen=True)
class ActivationQuantizer:
    """How one activation tensor is quantized: q = clip(round(x / scale) + zero_point, 0, levels).

    Attributes:
        scale: above zero, exactly representable in float32.
        zero_point: the q that stands for 0.0, from 0 to `levels`.
        levels: the largest q, 2**bits - 1.
    """

    scale: float
    zero_point: int
    levels: int

    def fake(self, x: Floats) -> Floats:
        """Returns x after quantizing and back, same shape; NaN stays NaN."""
        q = np.clip(np.rint(x / np.float32(self.scale)) + self.zero_point, 0, self.levels)
        return np.asarray((q - self.zero_point) * np.float32(self.scale), np.float32)


def activation_quantizer(low: float, high: float, bits: int) -> ActivationQuantizer:
    """Returns the quantizer of a tensor whose values lie in [low, high].

    The range is widened to contain zero, which is then exact (padding and ReLU stay exact). A
    range that holds nothing but zero gets scale 1.

    Args:
        low: finite, in the tensor's own unit.
        high: finite, not below `low`.
        bits: from 1 to 8.

    Raises:
        InputError: the range or the bits are not as above.
    """
    if not (np.isfinite(low) and np.isfinite(high) and low <= high):
        raise InputError(f"an activation range must be finite and ascending, but got ({low}, {high})")
    levels = 2 ** _checked(bits, least=1) - 1
    low, high = min(low, 0.0), max(high, 0.0)
    scale = float(np.float32((high - low) / levels))
    if scale < NOTHING:
        return ActivationQuantizer(1.0, 0, levels)
    return ActivationQuantizer(scale, int(np.clip(np.rint(-low / scale), 0, levels)), levels)


def quantizers_of(network: Network) -> dict[str, ActivationQuantizer]:
    """Returns the quantizer of each tensor that has one, by name.

    Raises:
        InputError: a range that is not ascending, or bits above 8 and below 32.
        KeyError: a range that the chain needs is missing.
    """
    bits = activation_bits(network.layers)
    return {tensor: activation_quantizer(*network.ranges[tensor], bits[tensor]) for tensor in bits}


@dataclass(frozen=True, eq=False)
class IntegerWeights:
    """The integers of one operation.

    Attributes:
        weight: int8 [out, ...].
        scales: what one of it stands for, float32 [out].
        bias: int32 [out], at the scale of the products; None where there is none, or where what is
            read has no quantizer, so that products have no scale.
    """

    weight: NDArray[np.int8]
    scales: Floats
    bias: NDArray[np.int32] | None

    def floats(self) -> Floats:
        """Returns what the weights stand for, same shape."""
        return np.asarray(self.weight * _by_channel(self.scales, self.weight.ndim), np.float32)


def integer_weights(
    weight: Floats, bits: int, bias: Floats | None = None, reads: ActivationQuantizer | None = None
) -> IntegerWeights:
    """Returns the integers of an operation's weights [out, ...] and, where it has one, bias [out].

    Args:
        weight: finite.
        bits: from 2 to 8.
        bias: None where it has none, or one that stays in floating point.
        reads: the quantizer of the tensor that is read; None where that is in floating point.

    Raises:
        InputError: other bits, or weights that are not finite.
    """
    scales = weight_scales(weight, bits)
    if bias is None or reads is None:
        return IntegerWeights(quantized_weight(weight, scales, bits), scales, None)
    scales = scales_for_bias(scales, bias, reads.scale)
    integers = quantized_bias(bias, scales, reads.scale)
    return IntegerWeights(quantized_weight(weight, scales, bits), scales, integers)


def weight_scales(weight: Floats, bits: int) -> Floats:
    """Returns the scale of each output channel, [out]: the end of its range / (2**(bits - 1) - 1).

    The range ends at the channel's largest magnitude; at `CLIPPED_BITS` and below at the one of
    `CLIP_PARTS` of it that gives the least squared error, the largest of equals.

    Args:
        weight: [out, ...], finite.
        bits: from 2 to 8.

    Returns:
        float32 [out]; 1 for a channel of zeros.

    Raises:
        InputError: other bits, or weights that are not finite.
    """
    limit = 2 ** (_checked(bits, least=2) - 1) - 1
    largest = np.abs(weight.reshape(len(weight), -1)).max(axis=1)
    if not np.isfinite(largest).all():
        raise InputError("weights must be finite to be quantized, but some are NaN or infinite")
    scales = np.asarray(np.where(largest > NOTHING, largest / np.float32(limit), 1), np.float32)
    return scales if bits > CLIPPED_BITS else _least_error(weight, scales, limit)


def _least_error(weight: Floats, largest: Floats, limit: int) -> Floats:
    """Returns, of the parts of the scales [out] that reach the largest magnitude, the best of each."""
    rows = weight.reshape(len(weight), -1)
    best, least = largest, np.full(len(rows), np.inf, np.float32)
    for part in CLIP_PARTS:
        scales = largest * np.float32(part)
        made = np.clip(np.rint(rows / scales[:, None]), -limit, limit) * scales[:, None]
        error = np.square(made - rows).sum(axis=1)
        best, least = np.where(error < least, scales, best), np.minimum(error, least)
    return best


def scales_for_bias(scales: Floats, bias: Floats, input_scale: float) -> Floats:
    """Returns the weight scales [out], raised where the bias would not fit into its 32-bit integer.

    That happens only where a channel's weights are so small that all products together are below
    a rounding error of its bias, so coarser weights change nothing.
    """
    needed = np.abs(bias.astype(np.float64)) / (input_scale * _BIAS_LIMIT)
    return np.asarray(np.maximum(scales, needed), np.float32)


def quantized_weight(weight: Floats, scales: Floats, bits: int) -> NDArray[np.int8]:
    """Returns the integers [out, ...] in [-(2**(bits - 1) - 1), 2**(bits - 1) - 1]."""
    limit = 2 ** (_checked(bits, least=2) - 1) - 1
    by_channel = _by_channel(scales, weight.ndim)
    return np.asarray(np.clip(np.rint(weight / by_channel), -limit, limit), np.int8)


def quantized_bias(bias: Floats, scales: Floats, input_scale: float) -> NDArray[np.int32]:
    """Returns the integers [out] at the scale of the products, `input_scale * scales`."""
    return np.asarray(np.rint(bias.astype(np.float64) / bias_scales(scales, input_scale)), np.int32)


def bias_scales(scales: Floats, input_scale: float) -> Floats:
    """Returns the scales of the bias [out], float32."""
    return np.asarray(scales * np.float32(input_scale), np.float32)


def fake_quantized_weight(weight: Floats, bits: int) -> Floats:
    """Returns the weights after quantizing and back, same shape."""
    return integer_weights(weight, bits).floats()


def _by_channel(scales: Floats, ndim: int) -> Floats:
    """Scales [out] as [out, 1, ...]."""
    return scales.reshape(-1, *[1] * (ndim - 1))


def _checked(bits: int, least: int) -> int:
    if not least <= bits <= MAX_BITS:
        raise InputError(f"quantized bits must be from {least} to {MAX_BITS}, but got {bits}")
    return bits
