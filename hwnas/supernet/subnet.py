"""The static network: one architecture cut out, of torch's own modules alone."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from hwnas.spaces import Layer, Op
from hwnas.supernet.chain import OnTensor, finish, nest, norm_name, run_ops
from hwnas.supernet.quantized_run import QuantizedRun


class Subnet(nn.Module):
    """A plain network for a chain of layers; modules carry the chain's names.

    `stages.0.1.expand` is the convolution, `stages.0.1.expand_norm` the batch normalisation.

    Attributes:
        layers: the chain it was built from.
        factors: learned, by tensor, on the ranges of activations; none where no steps are learned.
    """

    def __init__(
        self, layers: Sequence[Layer], norm_eps: float = 1e-5, device: torch.device | str | None = None
    ) -> None:
        super().__init__()
        self.layers = tuple(layers)
        self.factors: Mapping[str, Tensor] = {}
        for layer in self.layers:
            nest(self, layer.name, StaticLayer(layer, norm_eps, device))

    def forward(self, x_NCHW: Tensor, run: QuantizedRun | None = None) -> Tensor:
        """Returns logits [N, classes]; `run` quantizes activations on the way."""
        x = x_NCHW if run is None else run.entry(x_NCHW)
        for layer in self.layers:
            x = self.get_submodule(layer.name)(x, run.finish(layer.name) if run else finish)
        return x


class StaticLayer(nn.Module):
    """One layer of a `Subnet`."""

    def __init__(self, layer: Layer, norm_eps: float, device: torch.device | str | None = None) -> None:
        super().__init__()
        self.ops = layer.ops
        for op in self.ops:
            if op.weights:
                self.add_module(op.name, _module(op, device))
            if op.weights and op.norm:
                self.add_module(norm_name(op), nn.BatchNorm2d(op.out_channels, norm_eps, device=device))

    def forward(self, x_NCHW: Tensor, finish: OnTensor = finish) -> Tensor:
        """Returns the output of the layer; `finish` as `run_ops`."""
        return run_ops(self.ops, x_NCHW, self._weighted, finish)

    def _weighted(self, op: Op, x: Tensor) -> Tensor:
        module = self._modules[op.name]
        norm = self._modules[norm_name(op)] if op.norm else None
        assert module is not None
        x = module(x.flatten(1) if op.kind == "linear" else x)
        return x if norm is None else norm(x)


class _Undrawn(nn.Conv2d):
    """A convolution whose weights are to be given: drawing them would take most of an extraction."""

    def reset_parameters(self) -> None:
        """Draws nothing."""


def _module(op: Op, device: torch.device | str | None) -> nn.Module:
    if op.kind == "linear":
        return nn.Linear(op.in_channels, op.out_channels, device=device)
    conv = (_Undrawn if device == "meta" else nn.Conv2d)(
        op.in_channels,
        op.out_channels,
        op.kernel,
        op.stride,
        op.kernel // 2,
        groups=op.in_channels if op.kind == "depthwise" else 1,
        bias=op.bias and not op.norm,
        device=device,
    )
    conv.__class__ = nn.Conv2d  # tools that read networks ask for torch's own class
    return conv
