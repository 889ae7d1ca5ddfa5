"""Elastic modules: weights for the largest choice, of which each call uses a part.

Nothing is set and nothing is remembered: what is active follows from the operation (`Op`: channels,
kernel, stride) that is an argument of `forward`, as are the bits that weights are quantized to.
Weights in use are views of the first channels, never copies; only a transformed kernel is computed.

Shapes: N images, C channels, H and W px, K kernel.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwnas.spaces import FLOAT_BITS, Layer, Op
from hwnas.supernet.chain import OnTensor, finish, norm_name, run_ops
from hwnas.supernet.fake_quantize import fake_quantized_weight
from hwnas.supernet.learned_steps import LearnedSteps


class ElasticConv2d(nn.Module):
    """A dense convolution that uses its first input and output channels."""

    steps: LearnedSteps | None

    def __init__(self, in_channels: int, out_channels: int, kernel: int, bias: bool) -> None:
        super().__init__()
        self.register_module("steps", None)
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None

    def forward(self, x_NCHW: Tensor, op: Op, bits: int = FLOAT_BITS) -> Tensor:
        """Returns [N, op.out_channels, H', W'] with padding K // 2."""
        part = self.active(op)
        weight = quantized_part(self, part["weight"], bits)
        return functional.conv2d(x_NCHW, weight, part.get("bias"), op.stride, op.kernel // 2)

    def active(self, op: Op) -> dict[str, Tensor]:
        """Returns the tensors in use, by name: views."""
        part = {"weight": self.weight[: op.out_channels, : op.in_channels]}
        return part if self.bias is None else part | {"bias": self.bias[: op.out_channels]}


class ElasticDepthwise(nn.Module):
    """A depthwise convolution that uses its first channels and any of its kernel sizes.

    A smaller kernel is the centre of the next larger one, flattened row by row, times the
    transpose of a learned square matrix shared by all channels; so 3x3 comes from the transformed
    5x5, not from the 7x7 itself. Matrices start as the identity.

    Source: Once-for-All (Cai et al., 2020), section 3.3, "elastic kernel size".
    """

    steps: LearnedSteps | None

    def __init__(self, channels: int, kernels: Sequence[int]) -> None:
        super().__init__()
        self.register_module("steps", None)
        self.kernels = tuple(sorted(kernels, reverse=True))
        self.weight = nn.Parameter(torch.empty(channels, 1, self.kernels[0], self.kernels[0]))
        self.transforms = nn.ParameterDict(
            {
                f"{large}to{small}": nn.Parameter(torch.empty(small**2, small**2))
                for large, small in zip(self.kernels, self.kernels[1:], strict=False)
            }
        )

    def forward(self, x_NCHW: Tensor, op: Op, bits: int = FLOAT_BITS) -> Tensor:
        """Returns [N, C, H', W'] with padding K // 2."""
        weight = quantized_part(self, self.active(op)["weight"], bits)
        return functional.conv2d(x_NCHW, weight, None, op.stride, op.kernel // 2, groups=op.in_channels)

    def active(self, op: Op) -> dict[str, Tensor]:
        """Returns the weight in use, [C, 1, K, K]: a view where the kernel is the largest."""
        return {"weight": self.filters(op.out_channels, op.kernel)}

    def filters(self, channels: int, kernel: int) -> Tensor:
        """Returns the filters of the first channels at one kernel size, [channels, 1, K, K]."""
        weight = self.weight[:channels]
        for large, small in zip(self.kernels, self.kernels[1:], strict=False):
            if large == kernel:
                break
            edge = (large - small) // 2
            centre = weight[:, :, edge : edge + small, edge : edge + small].reshape(channels, small**2)
            weight = functional.linear(centre, self.transforms[f"{large}to{small}"]).view(
                channels, 1, small, small
            )
        assert weight.shape[-1] == kernel
        return weight


class ElasticNorm(nn.Module):
    """Batch normalisation of the first channels; training updates that part of the statistics.

    Attributes:
        momentum: the share of the batch at hand in the running statistics; 0 leaves them as they are.
        batch_norm: a function like torch's `batch_norm`, which it is at first; training in several
            processes puts one in its place that takes the statistics of the whole batch.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__()
        self.eps, self.momentum = eps, 0.1
        self.batch_norm: Callable[..., Tensor] = functional.batch_norm
        self.weight = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.empty(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x_NCHW: Tensor, op: Op) -> Tensor:
        """Returns the normalised map, by batch statistics in training and running ones otherwise."""
        part = self.active(op)
        return self.batch_norm(x_NCHW, **part, training=self.training, momentum=self.momentum, eps=self.eps)

    def active(self, op: Op) -> dict[str, Tensor]:
        """Returns the tensors in use, by name: views."""
        return {
            "running_mean": self.running_mean[: op.out_channels],
            "running_var": self.running_var[: op.out_channels],
            "weight": self.weight[: op.out_channels],
            "bias": self.bias[: op.out_channels],
        }


class ElasticLinear(nn.Module):
    """A linear layer that uses its first inputs and all of its outputs."""

    steps: LearnedSteps | None

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.register_module("steps", None)
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.empty(out_features))

    def forward(self, x_NC11: Tensor, op: Op, bits: int = FLOAT_BITS) -> Tensor:
        """Returns [N, out_features]."""
        part = self.active(op)
        weight = quantized_part(self, part["weight"], bits)
        return functional.linear(x_NC11.flatten(1), weight, part["bias"])

    def active(self, op: Op) -> dict[str, Tensor]:
        """Returns the tensors in use, by name: views."""
        return {"weight": self.weight[:, : op.in_channels], "bias": self.bias}


Elastic = ElasticConv2d | ElasticDepthwise | ElasticLinear


def quantized_part(module: Elastic, weight: Tensor, bits: int) -> Tensor:
    """Returns a part [out, ...] of a module's weight after quantizing and back, by its own learned steps."""
    factor = None if module.steps is None else module.steps.factor(bits, len(weight))
    return fake_quantized_weight(weight, bits, factor)


class ElasticLayer(nn.Module):
    """Weights for every layer that may stand in one place of the chain."""

    def __init__(self, choices: Sequence[Layer], norm_eps: float) -> None:
        """Makes room for the largest of each operation over all `choices`."""
        super().__init__()
        by_name: dict[str, list[Op]] = {}
        for layer in choices:
            for op in layer.ops:
                by_name.setdefault(op.name, []).append(op)
        for name, ops in by_name.items():
            module = _weights_for(ops)
            if module is not None:
                self.add_module(name, module)
                if any(op.norm for op in ops):
                    channels = max(op.out_channels for op in ops)
                    self.add_module(norm_name(ops[0]), ElasticNorm(channels, norm_eps))

    def forward(self, x_NCHW: Tensor, layer: Layer, finish: OnTensor = finish) -> Tensor:
        """Returns the output of one choice, its weights at the layer's bits; `finish` as `run_ops`."""

        def weighted(op: Op, x: Tensor) -> Tensor:
            x = getattr(self, op.name)(x, op, layer.weight_bits)
            return getattr(self, norm_name(op))(x, op) if op.norm else x

        return run_ops(layer.ops, x_NCHW, weighted, finish)


def _weights_for(ops: Sequence[Op]) -> nn.Module | None:
    inside = max(op.in_channels for op in ops)
    outside = max(op.out_channels for op in ops)
    if ops[0].kind == "depthwise":
        return ElasticDepthwise(outside, sorted({op.kernel for op in ops}))
    if ops[0].kind == "conv":
        (kernel,) = {op.kernel for op in ops}
        return ElasticConv2d(inside, outside, kernel, bias=ops[0].bias and not ops[0].norm)
    return ElasticLinear(inside, outside) if ops[0].kind == "linear" else None


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Sets fresh weights, drawn in the order of the modules.

    Convolutions are normal with variance 1 / (3 K x K x inputs): smaller than He's, since
    normalisation undoes the scale and small weights turn faster. Kernel transforms are the
    identity, normalisations 1 and 0, linear layers normal with deviation 0.01.
    """
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, ElasticConv2d | ElasticDepthwise):
                part.weight.normal_(0, 1 / math.sqrt(3 * part.weight[0].numel()), generator=generator)
            elif isinstance(part, ElasticLinear):
                part.weight.normal_(0, 0.01, generator=generator)
            elif isinstance(part, ElasticNorm):
                part.weight.fill_(1)
            if isinstance(part, ElasticDepthwise):
                for matrix in part.transforms.values():
                    nn.init.eye_(matrix)
            elif isinstance(getattr(part, "bias", None), nn.Parameter):
                part.bias.zero_()  # type: ignore[operator]
