"""A network: a chain of layers with its numbers, normalisation folded in.

It is what a device compiles and what an ONNX file is written from, so that what is measured is
what is exported.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from numpy.typing import NDArray

from hwnas.spaces.layer import FLOAT_BITS, Layer, Op

Floats = NDArray[np.float32]
INPUT = "input"
_ANY_SIGN = (-4.0, 4.0)


@dataclass(frozen=True, eq=False)
class Network:
    """Layers with weights, and the ranges of the activations that are quantized.

    Attributes:
        layers: named, in the order they run.
        weights: `LAYER.OP.weight` (convolutions [out, in / groups, k, k], linear [out, in]) and
            `LAYER.OP.bias` [out] where the operation has one; float32, not quantized yet.
        ranges: the low and high end of each tensor in `activation_bits(layers)`.
    """

    layers: tuple[Layer, ...]
    weights: Mapping[str, Floats]
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """One image, channels first."""
        first = self.layers[0]
        return (1, first.in_channels, first.in_size_px, first.in_size_px)

    @property
    def key(self) -> str:
        """The subject key of the chain; weights do not count."""
        return subject_key(self.layers)


def subject_key(layers: Sequence[Layer]) -> str:
    """Returns a name for what runs: 32 hexadecimal digits of the chain with its bits, names aside."""
    rows = [{**asdict(layer), "name": ""} for layer in layers]
    text = json.dumps(rows, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def weight_shape(op: Op) -> tuple[int, ...]:
    """Returns the shape of an operation's weights, () where it has none."""
    if op.kind == "depthwise":
        return (op.out_channels, 1, op.kernel, op.kernel)
    if op.kind == "conv":
        return (op.out_channels, op.in_channels, op.kernel, op.kernel)
    return (op.out_channels, op.in_channels) if op.kind == "linear" else ()


def operations(layers: Sequence[Layer]) -> Iterator[tuple[Layer, Op, tuple[str, ...]]]:
    """Yields every operation in running order: its layer, itself, and the tensors it reads.

    A tensor is named `LAYER.OP` after the operation (activation included) that makes it, `input`
    for the image.
    """
    incoming = INPUT
    for layer in layers:
        for op in layer.ops:
            yield layer, op, tuple(f"{layer.name}.{name}" if name else incoming for name in op.inputs)
        incoming = f"{layer.name}.{layer.ops[-1].name}"


def activation_bits(layers: Sequence[Layer]) -> dict[str, int]:
    """Returns the bits of every activation tensor that is quantized, by tensor name.

    Tensors are named as `operations` names them; where the activation function runs in floating
    point (h_swish, h_sigmoid), `LAYER.OP.pre` is the tensor before it. Every tensor that an
    operation of a quantized layer reads or writes is quantized, at the fewer bits where two layers
    share it; logits are not.
    """
    bits: dict[str, int] = {}
    for layer, op, reads in operations(layers):
        if layer.quantizable and layer.activation_bits < FLOAT_BITS:
            made = f"{layer.name}.{op.name}"
            before = [f"{made}.pre"] if op.activation in ("h_swish", "h_sigmoid") else []
            for tensor in (*reads, *([] if op.kind == "linear" else [*before, made])):
                bits[tensor] = min(layer.activation_bits, bits.get(tensor, FLOAT_BITS))
    return bits


def random_network(layers: Sequence[Layer], seed: int = 0) -> Network:
    """Returns the layers with random weights of sensible scale, for measuring what runs, not what it says."""
    rng = np.random.default_rng(seed)
    weights: dict[str, Floats] = {}
    for layer in layers:
        for op in layer.ops:
            shape = weight_shape(op)
            if shape:
                scale = np.sqrt(2 / np.prod(shape[1:]))
                weights[f"{layer.name}.{op.name}.weight"] = (rng.standard_normal(shape) * scale).astype(
                    np.float32
                )
                if op.bias:
                    weights[f"{layer.name}.{op.name}.bias"] = np.zeros(shape[0], np.float32)
    plausible = _plausible_ranges(layers)
    return Network(
        tuple(layers), weights, {name: plausible.get(name, _ANY_SIGN) for name in activation_bits(layers)}
    )


def _plausible_ranges(layers: Sequence[Layer]) -> dict[str, tuple[float, float]]:
    """A range for each tensor that an operation makes."""
    ranges: dict[str, tuple[float, float]] = {}
    for layer, op, reads in operations(layers):
        made = f"{layer.name}.{op.name}"
        if op.activation in ("relu", "relu6", "h_sigmoid"):
            ranges[made] = (0.0, 6.0)
        elif op.kind in ("max_pool", "average_pool", "pool"):
            ranges[made] = ranges.get(reads[0], _ANY_SIGN)
        else:
            ranges[made] = _ANY_SIGN
    return ranges
