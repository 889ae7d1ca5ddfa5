"""Calibration under a bitwidth policy: the statistics and ranges of one network at its own bits."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from hwnas.spaces import FLOAT_BITS, Layer, Network, operations
from hwnas.supernet.fake_quantize import fake_quantized_weight
from hwnas.supernet.fold import to_network
from hwnas.supernet.quantized_run import QuantizedRun
from hwnas.supernet.recalibrate import recalibrate_in_place
from hwnas.supernet.subnet import Subnet


def calibrated(subnet: Subnet, layers: Sequence[Layer], batches: Iterable[Tensor]) -> Network:
    """Returns the network of a subnet under its bits, statistics and ranges taken while they hold.

    Each batch passes once: weights and activations are quantized, these by the batch's own ranges,
    and each normalisation works with the batch's statistics; kept are the averages of both. What
    rounding does to the statistics is so undone. Quantizing weights commutes with folding the
    normalisation into them, since every output channel has a scale of its own.

    Args:
        subnet: extracted under the same bits; its statistics are replaced.
        layers: its chain with bits; where all is floating point, this is plain recalibration.
        batches: float images [n, C, H, W] of the calibrate split.

    Raises:
        InputError: there is no batch, one in which a normalisation sees a single value, or a tensor
            that is not finite.
    """
    run = QuantizedRun(layers, keep=True, factors=subnet.factors)
    with _quantized_weights(subnet, layers):
        recalibrate_in_place(subnet, batches, lambda x_NCHW: subnet(x_NCHW, run))
    return to_network(subnet.cpu(), layers, run.averages())


@contextmanager
def _quantized_weights(subnet: Subnet, layers: Sequence[Layer]) -> Iterator[None]:
    """Puts quantized weights in the place of a subnet's own for a while."""
    own: list[tuple[nn.Parameter, Tensor]] = []
    try:
        for layer, op, _ in operations(layers):
            if op.weights and layer.weight_bits < FLOAT_BITS:
                weight = subnet.get_submodule(f"{layer.name}.{op.name}").weight
                assert isinstance(weight, nn.Parameter)
                own.append((weight, weight.data))
                with torch.no_grad():
                    weight.data = fake_quantized_weight(weight, layer.weight_bits)
        yield
    finally:
        for weight, data in own:
            weight.data = data
