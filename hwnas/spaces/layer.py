"""The layer: one executed layer or block, the description that everything else reads.

A network is a chain of layers. Cost counting, profiling, tables, features, the torch module and
the names inside ONNX files all come from it. `Layer.ops` opens a block into its operations.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

LayerKind = Literal["conv", "residual_conv", "mbconv", "bottleneck", "max_pool", "pool", "linear"]
OpKind = Literal["conv", "depthwise", "max_pool", "average_pool", "pool", "scale", "add", "linear"]
Activation = Literal["none", "relu", "relu6", "h_swish", "h_sigmoid"]

FLOAT_BITS = 32


def make_divisible(value: float) -> int:
    """Returns the multiple of eight nearest to `value`, at least eight and at least 90 % of it.

    Source: MobileNetV2 (Sandler et al., 2018), reference code; Once-for-All uses the same rule.
    """
    rounded = max(8, int(value + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * value else rounded


@dataclass(frozen=True)
class Op:
    """One operation inside a layer, batch normalisation folded into it.

    `conv` and `linear` carry weights and, where `bias` is set, a bias; `depthwise` is a
    convolution with one filter a channel; `max_pool` takes the largest of a window padded by
    kernel // 2; `average_pool` averages windows that do not overlap, a last one that is cut short
    over what it holds; `pool` averages the whole map; `scale` multiplies a map by one factor a
    channel (squeeze-and-excitation); `add` is the residual sum.

    Attributes:
        inputs: names of the operations of the layer that this one reads, "" for the layer's own
            input; `scale` reads the map and then the factors, `add` the trunk and then the
            shortcut, all others one.
    """

    name: str
    kind: OpKind
    in_channels: int
    out_channels: int
    in_size_px: int
    kernel: int = 1
    stride: int = 1
    activation: Activation = "none"
    norm: bool = True
    bias: bool = True
    inputs: tuple[str, ...] = ("",)

    @property
    def out_size_px(self) -> int:
        """The side of the output map in px; 1 after a pool."""
        return 1 if self.kind == "pool" else (self.in_size_px - 1) // self.stride + 1

    @property
    def weights(self) -> int:
        """The number of weights, without bias and normalisation."""
        if self.kind == "depthwise":
            return self.out_channels * self.kernel**2
        if self.kind in ("conv", "linear"):
            return self.in_channels * self.out_channels * self.kernel**2
        return 0

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image; pooling, scaling and adding count as none."""
        return self.weights * self.out_size_px**2

    @property
    def map_elements(self) -> int:
        """Elements of the maps of one image that it reads and writes; the factors of `scale` are left out."""
        reads = self.in_channels * self.in_size_px**2 * (2 if self.kind == "add" else 1)
        return reads + self.out_channels * self.out_size_px**2


@dataclass(frozen=True)
class Layer:
    """One executed layer or block of a network.

    Kinds: `conv` (a dense convolution), `residual_conv` (one whose input is added to its activated
    output), `mbconv` (inverted bottleneck: 1x1 expand, depthwise, squeeze-and-excitation, 1x1
    project; without the expand where mid equals in), `bottleneck` (ResNet's: 1x1, dense with the
    stride, 1x1, sum, activation; where the shape changes the shortcut is an average pool and a 1x1
    convolution, ResNet-D), `max_pool` (padded by kernel // 2), `pool` (global average) and
    `linear`. Two layers are equal when they run alike: the name does not count.

    Attributes:
        in_size_px: side of the square input map.
        mid_channels: inner channels of an mbconv or bottleneck; 0 for other kinds.
        se: squeeze-and-excitation after the depthwise activation.
        norm: batch normalisation follows (folded when the network runs); a `conv` without it has
            no bias either, a `linear` always has one.
        weight_bits, activation_bits: 32 is floating point.
    """

    kind: LayerKind
    in_channels: int
    out_channels: int
    in_size_px: int
    kernel: int = 1
    stride: int = 1
    mid_channels: int = 0
    se: bool = False
    activation: Activation = "none"
    norm: bool = True
    weight_bits: int = FLOAT_BITS
    activation_bits: int = FLOAT_BITS
    name: str = field(default="", compare=False)

    @property
    def out_size_px(self) -> int:
        """The side of the output map in px, with padding kernel // 2; 1 after a pool."""
        return 1 if self.kind == "pool" else (self.in_size_px - 1) // self.stride + 1

    @property
    def residual(self) -> bool:
        """Whether the input itself is added to the output."""
        adds = self.kind in ("mbconv", "bottleneck", "residual_conv")
        return adds and self.stride == 1 and self.in_channels == self.out_channels

    @property
    def expands(self) -> bool:
        """Whether an mbconv has an expanding convolution."""
        return self.kind == "mbconv" and self.mid_channels != self.in_channels

    @property
    def se_channels(self) -> int:
        """Hidden channels of squeeze-and-excitation; 0 without it."""
        return make_divisible(self.mid_channels // 4) if self.se else 0

    @property
    def quantizable(self) -> bool:
        """Whether the layer has weights, and so bits of its own."""
        return self.kind not in ("max_pool", "pool")

    @property
    def quantized(self) -> bool:
        """Whether weights or activations are below floating point."""
        return min(self.weight_bits, self.activation_bits) < FLOAT_BITS

    @cached_property
    def ops(self) -> tuple[Op, ...]:
        """The operations in the order they run; names are unique within the layer."""
        if self.kind == "mbconv":
            return tuple(self._mbconv_ops())
        if self.kind == "bottleneck":
            return tuple(self._bottleneck_ops())
        if self.kind == "residual_conv":
            channels, size = self.out_channels, self.out_size_px
            conv = Op("conv", "conv", self.in_channels, channels, size, self.kernel, 1, self.activation)
            return conv, Op("add", "add", channels, channels, size, inputs=("conv", ""))
        return (
            Op(
                name=self.kind,
                kind=self.kind,
                in_channels=self.in_channels,
                out_channels=self.out_channels,
                in_size_px=self.in_size_px,
                kernel=self.kernel,
                stride=self.stride,
                activation=self.activation,
                norm=self.norm and self.kind == "conv",
                bias=self.norm or self.kind == "linear",
            ),
        )

    def _mbconv_ops(self) -> list[Op]:
        mid, out, size, out_size = self.mid_channels, self.out_channels, self.in_size_px, self.out_size_px
        hidden, act = self.se_channels, self.activation
        ops = []
        if self.expands:
            ops.append(Op("expand", "conv", self.in_channels, mid, size, activation=act))
        reads = ("expand",) if self.expands else ("",)
        ops.append(Op("depthwise", "depthwise", mid, mid, size, self.kernel, self.stride, act, inputs=reads))
        if self.se:
            ops += [
                Op("se_pool", "pool", mid, mid, out_size, inputs=("depthwise",)),
                Op("se_reduce", "conv", mid, hidden, 1, activation="relu", norm=False, inputs=("se_pool",)),
                Op(
                    "se_expand",
                    "conv",
                    hidden,
                    mid,
                    1,
                    activation="h_sigmoid",
                    norm=False,
                    inputs=("se_reduce",),
                ),
                Op("se_scale", "scale", mid, mid, out_size, inputs=("depthwise", "se_expand")),
            ]
        ops.append(Op("project", "conv", mid, out, out_size, inputs=(ops[-1].name,)))
        if self.residual:
            ops.append(Op("add", "add", out, out, out_size, inputs=("project", "")))
        return ops

    def _bottleneck_ops(self) -> list[Op]:
        inside, mid, out, act = self.in_channels, self.mid_channels, self.out_channels, self.activation
        size, out_size = self.in_size_px, self.out_size_px
        ops = [
            Op("conv1", "conv", inside, mid, size, activation=act),
            Op("conv2", "conv", mid, mid, size, self.kernel, self.stride, act, inputs=("conv1",)),
            Op("conv3", "conv", mid, out, out_size, inputs=("conv2",)),
        ]
        shortcut = ""
        if not self.residual:
            if self.stride > 1:
                pool = Op("shortcut_pool", "average_pool", inside, inside, size, self.stride, self.stride)
                ops.append(pool)
                shortcut = pool.name
            ops.append(Op("shortcut", "conv", inside, out, out_size, inputs=(shortcut,)))
            shortcut = "shortcut"
        ops.append(Op("add", "add", out, out, out_size, activation=act, inputs=("conv3", shortcut)))
        return ops


def describe(layer: Layer) -> str:
    """Returns a layer in a few words: `mbconv 24->40 mid 72 k5 s2 24px se relu w8a8`."""
    words = [layer.kind, f"{layer.in_channels}->{layer.out_channels}"]
    words += [f"mid {layer.mid_channels}"] if layer.mid_channels else []
    words += [f"k{layer.kernel}", f"s{layer.stride}", f"{layer.in_size_px}px"]
    words += ["se"] if layer.se else []
    words += [layer.activation] if layer.activation != "none" else []
    words += [f"w{layer.weight_bits}a{layer.activation_bits}"] if layer.quantizable else []
    return " ".join(words)
