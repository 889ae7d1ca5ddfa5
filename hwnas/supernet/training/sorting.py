"""Sorting the inner channels of blocks by importance, so that narrower ones keep the best.

A narrower block uses the first of its inner channels. In which order they lie is of no account to
the widest block as long as everything that touches them is permuted alike.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from hwnas.spaces import Layer
from hwnas.supernet.model import Supernet

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class _Wire:
    """Channels inside a layer: which tensors make or take them, and along which dimension.

    Attributes:
        reader: the tensor whose absolute sum for each channel is its importance.
        others: of (tensor, dimension); each may be absent.
        op: names the operation that reads the channels: as many as its input channels.
    """

    reader: tuple[str, int]
    others: tuple[tuple[str, int], ...]
    op: str


def _norm(name: str) -> tuple[tuple[str, int], ...]:
    vectors = ("weight", "bias", "running_mean", "running_var")
    return tuple((f"{name}_norm.{vector}", 0) for vector in vectors)


_WIRES: Mapping[str, tuple[_Wire, ...]] = {
    "mbconv": (
        _Wire(
            ("project.weight", 1),
            (
                ("expand.weight", 0),
                *_norm("expand"),
                ("depthwise.weight", 0),
                *_norm("depthwise"),
                ("se_reduce.weight", 1),
                ("se_expand.weight", 0),
                ("se_expand.bias", 0),
            ),
            "project",
        ),
        _Wire(("se_expand.weight", 1), (("se_reduce.weight", 0), ("se_reduce.bias", 0)), "se_expand"),
    ),
    "bottleneck": (
        _Wire(("conv3.weight", 1), (("conv2.weight", 0), *_norm("conv2")), "conv3"),
        _Wire(("conv2.weight", 1), (("conv1.weight", 0), *_norm("conv1")), "conv2"),
    ),
}


def sort_channels(supernet: Supernet, kept_widths: int, alike: Sequence[State] = ()) -> None:
    """Sorts the inner channels of every block in place, the most important first.

    The importance of a channel is the sum of absolute weights that read it. Networks whose blocks
    have one of the `kept_widths` largest widths give the same outputs as before, but for rounding:
    channels move only between those widths.

    Args:
        supernet: whose parameters and statistics are permuted.
        kept_widths: at least 1, which keeps the largest alone.
        alike: states with the supernet's names, such as averaged weights, to permute the same way.

    Source: Once-for-All (Cai et al., 2020), section 3.3, "elastic width", and official code.
    """
    states = [supernet.state_dict(), *alike]
    with torch.no_grad():
        for slot, layers in supernet.space.slot_choices.items():
            if layers[0].kind == "mbconv" and f"{slot}.expand.weight" not in states[0]:
                continue
            for wire in _WIRES.get(layers[0].kind, ()):
                if f"{slot}.{wire.reader[0]}" in states[0]:
                    _sort(states, slot, wire, _boundaries(layers, wire, kept_widths))


def _boundaries(layers: Iterable[Layer], wire: _Wire, kept_widths: int) -> list[int]:
    """Returns, ascending, where the channels that are sorted begin, and the widths kept."""
    layers = list(layers)
    inside = max(layer.in_channels for layer in layers)
    outside = max(layer.out_channels for layer in layers)
    # Widths that follow from narrower inputs or outputs are not choices of this block.
    own = [layer for layer in layers if (layer.in_channels, layer.out_channels) == (inside, outside)]
    widths = {op.in_channels: layer for layer in own for op in layer.ops if op.name == wire.op}
    kept = sorted(widths)[-kept_widths:]
    # Without an expanding convolution a block's inner channels are those of its input, and stay.
    bound = wire.op == "project" and not widths[kept[0]].expands
    return kept if bound else [0, *kept]


def _sort(states: Sequence[State], slot: str, wire: _Wire, boundaries: Sequence[int]) -> None:
    name, dim = wire.reader
    weight = states[0][f"{slot}.{name}"]
    importance = weight.abs().sum([d for d in range(weight.ndim) if d != dim])
    order = torch.arange(len(importance), device=importance.device)
    for first, stop in pairwise(boundaries):
        order[first:stop] = first + importance[first:stop].argsort(descending=True, stable=True)
    for state in states:
        for part, along in (wire.reader, *wire.others):
            tensor = state.get(f"{slot}.{part}")
            if tensor is not None:
                tensor.copy_(tensor.index_select(along, order))
