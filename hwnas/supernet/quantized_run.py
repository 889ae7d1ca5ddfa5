"""Activations of a chain under a bitwidth policy: which tensors are quantized as they run, and how.

The tensors are those of `activation_bits`, so what runs here is what an exported file says.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from hwnas.errors import InputError
from hwnas.spaces import INPUT, Layer, Op, activation_bits
from hwnas.spaces.layer import Activation
from hwnas.supernet.chain import OnTensor, activate
from hwnas.supernet.fake_quantize import Range, activation_step, fake_quantized, range_of

Ranges = Mapping[str, tuple[float, float]]


class QuantizedRun:
    """Quantizes the activations of one chain of layers; ranges are given, or those of the batch at hand.

    Attributes:
        seen: the ranges of each batch by tensor, in order, where they were asked to be kept.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        ranges: Ranges | None = None,
        keep: bool = False,
        factors: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Takes the chain with its bits.

        Args:
            layers: named, with bits.
            ranges: low and high end by tensor; None takes them from each batch.
            keep: whether to keep what is found in `seen`.
            factors: learned, by tensor, on the ranges found in a batch; those given have them already.
        """
        self._bits, self._ranges, self._keep = activation_bits(layers), ranges, keep
        self._factors = factors or {}
        self.seen: defaultdict[str, list[Range]] = defaultdict(list)

    def entry(self, x_NCHW: Tensor) -> Tensor:
        """Returns the images as the first layer reads them."""
        return self._quantized(INPUT, x_NCHW)

    def finish(self, layer: str) -> OnTensor:
        """Returns what makes of the outputs of a layer's operations what is read on."""

        def apply(op: Op, x: Tensor) -> Tensor:
            x = self._quantized(f"{layer}.{op.name}.pre", x, op.activation)
            return self._quantized(f"{layer}.{op.name}", activate(x, op.activation))

        return apply

    def averages(self) -> dict[str, tuple[float, float]]:
        """Returns the range of every quantized tensor, the mean over the batches seen.

        A rare outlier widens it less than it would the plain extremes, and the result does not
        depend on the order of the images.

        Raises:
            InputError: there was no batch, or a tensor was not finite.
        """
        ranges = {}
        for name in self._bits:
            if not self.seen[name]:
                raise InputError("activation ranges need images, but got none; is the calibrate split empty?")
            ends = torch.stack([torch.stack(pair) for pair in self.seen[name]]).double().mean(0)
            if not torch.isfinite(ends).all():
                raise InputError(
                    f"activation {name} is not finite on the calibrate split; the supernet is damaged"
                )
            low, high = ends.tolist()
            ranges[name] = (low, high)
        return ranges

    def _quantized(self, name: str, x: Tensor, before: Activation = "none") -> Tensor:
        bits = self._bits.get(name)
        if bits is None:
            return x
        if self._ranges is not None:
            ends = Range(*(x.new_tensor(end) for end in self._ranges[name]))
        else:
            ends = range_of(x, bits, before)
            if name in self._factors:
                ends = Range(*(end * self._factors[name] for end in ends))
        if self._keep:
            self.seen[name].append(Range(*(end.detach() for end in ends)))
        return fake_quantized(x, activation_step(ends, bits))
