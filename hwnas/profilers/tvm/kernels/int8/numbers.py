"""The numbers of 8-bit layers, as their kernels take them: integers, factors and roundings.

They are those of the QDQ file, see `hwnas.profilers.onnx.model`, with zero points made part of biases.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.profilers.onnx.quantizer import ActivationQuantizer, bias_scales, integer_weights
from hwnas.profilers.tvm.kernels.int8.pieces import Piece, pieces_of
from hwnas.profilers.tvm.kernels.int8.rounding import BIG, TO_LEVELS, chain_numbers, first_tensor
from hwnas.profilers.tvm.kernels.int8.vnni import DEPTH, LANES
from hwnas.spaces import Layer, Network

Array = NDArray[Any]


def layer_numbers(
    network: Network,
    layer: Layer,
    incoming: str,
    image: bool,
    quantizers: Mapping[str, ActivationQuantizer],
) -> list[Array]:
    """Returns the numbers of an 8-bit layer in the order its kernels take them.

    Args:
        network: holds the weights.
        layer: of the network.
        incoming: the name of the tensor that the layer reads.
        image: whether that is the image, still in floating point.
        quantizers: of its tensors, by name.
    """

    def of(tensor: str) -> ActivationQuantizer:
        return quantizers[f"{layer.name}.{tensor}" if tensor else incoming]

    arrays: list[Array] = []
    for piece in pieces_of(layer, image):
        if piece.op.weights:
            name = f"{layer.name}.{piece.op.name}"
            bias = network.weights.get(f"{name}.bias")
            arrays += _weighted(piece, layer.weight_bits, network.weights[f"{name}.weight"], bias, of)
        else:
            arrays.append(_array(_before(piece, of) + chain_numbers(piece.chain, of)))
    return arrays


def quantize_numbers(quantizer: ActivationQuantizer) -> Array:
    """Returns the numbers of the kernel that rounds a map."""
    return _array(chain_numbers(TO_LEVELS, lambda _: quantizer))


def dequantize_numbers(quantizer: ActivationQuantizer) -> Array:
    """Returns the numbers of the kernel that turns levels into what they stand for."""
    return _array([quantizer.zero_point, quantizer.scale])


def _weighted(
    piece: Piece, bits: int, weight: Array, bias: Array | None, of: Callable[[str], ActivationQuantizer]
) -> list[Array]:
    reads = of(piece.maps[0])
    if piece.form == "logits":
        found = integer_weights(weight, bits)
        zero = -reads.zero_point * found.weight.astype(np.int32).sum(axis=1)
        factor = bias_scales(found.scales, reads.scale)
        vectors = [np.asarray(bias, np.float32), zero.astype(np.int32), factor]
        return [_packed(found.weight, piece), *(_filled(one, piece.padded_lanes) for one in vectors)]
    found = integer_weights(weight, bits, bias, reads)
    integers = found.weight
    offset = -reads.zero_point * integers.reshape(len(integers), -1).astype(np.int64).sum(axis=1)
    if found.bias is not None:
        offset += found.bias
    factor = bias_scales(found.scales, reads.scale) / np.float32(of(first_tensor(piece.op)).scale)
    p = [reads.zero_point, *_of_image(piece, reads), *chain_numbers(piece.chain, of)]
    if piece.form == "dot":
        return [_packed(integers, piece), offset.astype(np.int32), _array(factor), _array(p)]
    windows = integers.transpose(2, 3, 1, 0) if piece.form == "image" else integers[:, 0].transpose(1, 2, 0)
    return [_array(windows), _array(offset), _array(factor), _array(p)]


def _of_image(piece: Piece, reads: ActivationQuantizer) -> list[float]:
    """What the image is rounded with, and what is taken off to have its levels."""
    return [*chain_numbers(TO_LEVELS, lambda _: reads), BIG] if piece.form == "image" else []


def _before(piece: Piece, of: Callable[[str], ActivationQuantizer]) -> list[float]:
    """What a kernel without weights makes a value from its levels with."""
    reads = of(piece.maps[0])
    if piece.form == "scale":
        gate = of(piece.maps[1])
        return [reads.zero_point, gate.zero_point, reads.scale * gate.scale]
    count = piece.op.in_size_px**2 if piece.form == "pool" else 1
    return [count * reads.zero_point, reads.scale / count, 0.0]


def _packed(integers: NDArray[np.int8], piece: Piece) -> Array:
    """Weights [out, in] or [out, in, k, k] as the instruction reads them, filled up with zeros."""
    if integers.ndim == 2:
        integers = integers[:, :, None, None]
    lanes, depth = piece.padded_lanes, piece.padded_depth
    filled = np.pad(
        integers, ((0, lanes - integers.shape[0]), (0, depth - integers.shape[1]), (0, 0), (0, 0))
    )
    kernel = integers.shape[2]
    blocks = filled.reshape(lanes // LANES, LANES, depth // DEPTH, DEPTH, kernel, kernel)
    return np.ascontiguousarray(blocks.transpose(0, 4, 5, 2, 1, 3)).reshape(piece.weight_shape)


def _filled(vector: Array, length: int) -> Array:
    return np.pad(vector, (0, length - len(vector)))


def _array(numbers: Any) -> Array:
    return np.ascontiguousarray(numbers, dtype=np.float32)
