"""Analytic costs of many candidates at once: MACs, parameters, bytes, peak memory, BitOPs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas.spaces.layer import FLOAT_BITS, Layer, Op

Ints = NDArray[np.int64]

# A block has at most four phases (expand, depthwise, project, add).
_PHASES = 4
# Where the bits of a live tensor come from: the map read, the layer itself (three at a time at most), the
# map made, or nobody (logits stay in floating point).
INSIDE, OWN, OUTSIDE, FLOAT = 0, (1, 2, 3), 4, 5
_TENSORS = 6


@dataclass(frozen=True)
class Costs:
    """Costs of n candidates, one int64 array of shape [n] each, for a batch of one image.

    Attributes:
        macs: multiply-accumulates of convolutions and linear layers, squeeze-and-excitation
            included; no normalisation, bias, activation or pooling.
        params: weights, biases and the two trained vectors of each batch normalisation.
        weight_bytes: weights packed at their bits (each layer rounded up to bytes), and one
            32-bit bias a channel once normalisation is folded.
        peak_memory_bytes: the most bytes of activations alive at once, each at the bits that
            `activation_bits` gives it: a map between two layers has the fewer of theirs.
        bitops: sum of MACs x weight bits x activation bits (32 x 32 in floating point).
    """

    macs: Ints
    params: Ints
    weight_bytes: Ints
    peak_memory_bytes: Ints
    bitops: Ints


@dataclass(frozen=True)
class CostTable:
    """What each of V layers costs before bits are known; an extra last row of zeros is `absent`.

    Layer ids index the rows, and id -1 (no layer in this slot) finds the row of zeros.

    Attributes:
        live: int64 [V + 1, phases, 6], elements of the tensors alive in each phase, see `live_elements`.
    """

    macs: Ints
    params: Ints
    weights: Ints
    biases: Ints
    live: Ints

    @staticmethod
    def of(layers: Sequence[Layer]) -> "CostTable":
        """Returns the table of these layers, in their order."""

        def column(values: list[int]) -> Ints:
            return np.array([*values, 0], dtype=np.int64)

        ops = [layer.ops for layer in layers]
        live = np.zeros((len(layers) + 1, _PHASES, _TENSORS), dtype=np.int64)
        for row, layer in enumerate(layers):
            for phase, tensors in enumerate(live_elements(layer)):
                live[row, phase, list(tensors)] = list(tensors.values())
        return CostTable(
            macs=column([sum(op.macs for op in of) for of in ops]),
            params=column([sum(op.weights + _vectors(op) for op in of) for of in ops]),
            weights=column([sum(op.weights for op in of) for of in ops]),
            biases=column([sum(op.out_channels for op in of if op.weights and op.bias) for of in ops]),
            live=live,
        )

    def costs(self, ids: Ints, weight_bits: Ints, activation_bits: Ints) -> Costs:
        """Returns the costs of n candidates.

        Args:
            ids: [n, slots] rows of this table, -1 where a slot is empty.
            weight_bits: [n, slots].
            activation_bits: [n, slots]; 32 in layers without weights.
        """
        macs = self.macs[ids]
        packed = -(-self.weights[ids] * weight_bits // 8) + 4 * self.biases[ids]
        alive = -(-self.live[ids] * _tensor_bits(ids >= 0, activation_bits)[:, :, None, :] // 8)
        return Costs(
            macs=macs.sum(axis=1),
            params=self.params[ids].sum(axis=1),
            weight_bytes=packed.sum(axis=1),
            peak_memory_bytes=alive.sum(axis=3).max(axis=(1, 2)),
            bitops=(macs * weight_bits * activation_bits).sum(axis=1),
        )


def live_elements(layer: Layer) -> list[dict[int, int]]:
    """Returns, for each phase of a layer, the elements of the activation tensors alive in it.

    They are filed by whose bits they have: `INSIDE` the map that the layer reads, `OWN` tensors within
    it, `OUTSIDE` the map it makes, `FLOAT` logits. Sums and scalings are in place. The small vectors of
    squeeze-and-excitation are left out.

    Source: MCUNet (Lin et al., 2020), peak memory of an inverted bottleneck with the depthwise
    convolution not in place; the residual input stays alive until it is added.
    """
    out = layer.out_channels * layer.out_size_px**2
    inside = layer.in_channels * layer.in_size_px**2
    one, two, three = OWN
    if layer.kind not in ("mbconv", "bottleneck"):
        made = {"residual_conv": one, "linear": FLOAT}.get(layer.kind, OUTSIDE)
        return [{INSIDE: inside, made: out}]
    before = layer.mid_channels * layer.in_size_px**2
    after = layer.mid_channels * layer.out_size_px**2
    added = {INSIDE: inside, one: out}
    if layer.kind == "bottleneck":
        trunk = [{one: before, two: after, INSIDE: inside}, {one: after, two: out, INSIDE: inside}]
        if layer.residual:
            return [*trunk, added]
        if layer.stride == 1:
            return [*trunk, {one: out, two: out, INSIDE: inside}]
        pooled = layer.in_channels * layer.out_size_px**2
        return [*trunk, {one: out, two: pooled, INSIDE: inside}, {one: out, two: out, three: pooled}]
    last = [{one: after, two: out, INSIDE: inside}, added] if layer.residual else [{one: after, OUTSIDE: out}]
    if not layer.expands:
        return [{INSIDE: inside, one: after}, *last]
    kept = {INSIDE: inside} if layer.residual else {}
    return [{INSIDE: inside, one: before}, {one: before, two: after, **kept}, *last]


def _tensor_bits(filled: NDArray[np.bool_], activation_bits: Ints) -> Ints:
    """The bits of each kind of tensor in each slot, [n, slots, 6]."""
    bits = np.full((*filled.shape, _TENSORS), FLOAT_BITS, dtype=np.int64)
    bits[..., OWN] = activation_bits[..., None]
    bits[..., INSIDE] = np.minimum(activation_bits, _nearest(filled, activation_bits))
    after = _nearest(filled[:, ::-1], activation_bits[:, ::-1])[:, ::-1]
    bits[..., OUTSIDE] = np.minimum(activation_bits, after)
    return bits


def _nearest(filled: NDArray[np.bool_], bits: Ints) -> Ints:
    """The bits [n, slots] of the last filled slot before each; 32 where there is none."""
    found = np.empty_like(bits)
    carried = np.full(len(bits), FLOAT_BITS, dtype=np.int64)
    for slot in range(bits.shape[1]):
        found[:, slot] = carried
        carried = np.where(filled[:, slot], bits[:, slot], carried)
    return found


def _vectors(op: Op) -> int:
    if not op.weights:
        return 0
    return 2 * op.out_channels if op.norm else op.out_channels * op.bias
