"""Running a `Network` in torch: in floating point, or as its integers would, by fake quantization.

The quantizer is that of `hwnas.profilers.onnx.quantizer`, the tensors those of `activation_bits`, so what
runs here is what the exported ONNX file says.
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from hwnas.profilers.onnx.quantizer import ActivationQuantizer, bias_scales, integer_weights, quantizers_of
from hwnas.spaces import FLOAT_BITS, INPUT, Network, Op, operations
from hwnas.supernet.chain import OnTensor, activate, run_ops, torch_name


class FoldedNetwork(nn.Module):
    """A network as a torch module: float images [N, C, H, W] to logits; for inference alone.

    Attributes:
        network: what it runs.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self._quantizers = quantizers_of(network)
        self._ops = [(layer.name, layer.ops) for layer in network.layers]
        for name, value in _weights(network, self._quantizers).items():
            tensor = torch.from_numpy(value)
            if tensor.ndim == 4:
                tensor = tensor.contiguous(memory_format=torch.channels_last)
            self.register_buffer(torch_name(name), tensor)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Returns logits [N, classes]; the images are left as they are."""
        entry = self._quantizers.get(INPUT)
        x = x_NCHW.contiguous(memory_format=torch.channels_last)
        if entry is not None:
            x = fake_quantize(x / entry.scale, entry)
        for layer, ops in self._ops:
            x = run_ops(ops, x, self._weighted(layer), self._finish(layer))
        return x

    def _weighted(self, layer: str) -> OnTensor:
        def apply(op: Op, x: Tensor) -> Tensor:
            weight = self._buffers[torch_name(f"{layer}.{op.name}.weight")]
            bias = self._buffers.get(torch_name(f"{layer}.{op.name}.bias"))
            assert weight is not None
            if op.kind == "linear":
                return functional.linear(x.flatten(1), weight, bias)
            groups = op.in_channels if op.kind == "depthwise" else 1
            return functional.conv2d(x, weight, bias, op.stride, op.kernel // 2, groups=groups)

        return apply

    def _finish(self, layer: str) -> OnTensor:
        def apply(op: Op, x: Tensor) -> Tensor:
            before = self._quantizers.get(f"{layer}.{op.name}.pre")
            after = self._quantizers.get(f"{layer}.{op.name}")
            if before is not None:
                x = fake_quantize(x.div_(before.scale), before)
            # A range that starts at zero is a ReLU itself.
            if not (after is not None and after.zero_point == 0 and op.activation == "relu"):
                x = activate(x, op.activation)
            return x if after is None else fake_quantize(x.div_(after.scale), after)

        return apply


def fake_quantize(x_scaled: Tensor, quantizer: ActivationQuantizer) -> Tensor:
    """Returns the values that a tensor's integers stand for; overwrites `x_scaled`, which is x / scale."""
    zero = quantizer.zero_point
    return x_scaled.round_().clamp_(-zero, quantizer.levels - zero).mul_(quantizer.scale)


def _weights(
    network: Network, quantizers: Mapping[str, ActivationQuantizer]
) -> dict[str, NDArray[np.float32]]:
    """Returns the weights that run: those of quantized layers after quantizing and back."""
    weights = dict(network.weights)
    for layer, op, reads in operations(network.layers):
        if op.weights and layer.weight_bits < FLOAT_BITS:
            _quantize(weights, f"{layer.name}.{op.name}", layer.weight_bits, quantizers.get(reads[0]))
    return weights


def _quantize(
    weights: dict[str, NDArray[np.float32]], name: str, bits: int, reads: ActivationQuantizer | None
) -> None:
    found = integer_weights(weights[f"{name}.weight"], bits, weights.get(f"{name}.bias"), reads)
    if reads is not None and found.bias is not None:
        weights[f"{name}.bias"] = found.bias.astype(np.float32) * bias_scales(found.scales, reads.scale)
    weights[f"{name}.weight"] = found.floats()
