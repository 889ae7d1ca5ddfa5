"""From a static network to the numbers a device runs: normalisation folded into weights."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from hwnas.spaces import Layer, Network, Op
from hwnas.supernet.chain import norm_name
from hwnas.supernet.recalibrate import statistics
from hwnas.supernet.subnet import Subnet


def to_network(
    subnet: Subnet,
    layers: Sequence[Layer] | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> Network:
    """Returns the network of a subnet, its normalisations folded in float64, rounded to float32.

    Args:
        subnet: recalibrated.
        layers: its chain with bitwidths; where not given, its own chain.
        ranges: of the activations that are quantized, see `Network`.
    """
    chain = subnet.layers if layers is None else tuple(layers)
    weights = {}
    for layer in chain:
        for op in layer.ops:
            if op.weights:
                weight, bias = _folded(subnet, layer, op)
                weights[f"{layer.name}.{op.name}.weight"] = weight.float().numpy()
                if bias is not None:
                    weights[f"{layer.name}.{op.name}.bias"] = bias.float().numpy()
    return Network(chain, weights, dict(ranges or {}))


def _folded(subnet: Subnet, layer: Layer, op: Op) -> tuple[Tensor, Tensor | None]:
    module = subnet.get_submodule(f"{layer.name}.{op.name}")
    assert isinstance(module, nn.Conv2d | nn.Linear)
    with torch.no_grad():
        # Contiguous: numpy's users read the usual order of axes from memory.
        weight = module.weight.double().contiguous()
        if not op.norm:
            return weight, None if module.bias is None else module.bias.double()
        norm = subnet.get_submodule(f"{layer.name}.{norm_name(op)}")
        assert isinstance(norm, nn.BatchNorm2d)
        mean, var = statistics(norm)
        factor = norm.weight.double() / (var.double() + norm.eps).sqrt()
        return weight * factor[:, None, None, None], norm.bias.double() - mean.double() * factor
