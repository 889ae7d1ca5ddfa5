"""Block tables: what each block costs on a device, by shape and bits, and their sums over networks.

A sum of blocks is right for accelerators that run one block after the other by a fixed schedule.
For anything with caches and threads, `hwnas.profilers.tables.blocks` checks it against whole networks.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import InputError
from hwnas.spaces import FLOAT_BITS, Candidates, Layer
from hwnas.spaces.layer import describe

_SHOWN = 5

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BlockCost:
    """What one block costs; `source` says where the figures come from."""

    latency_ms: float
    energy_mj: float | None = None
    source: str = ""


def block_key(layer: Layer) -> Layer:
    """Returns the layer as tables know it: no name, no `norm`, and no bits where it has no weights."""
    if layer.quantizable:
        return replace(layer, name="", norm=True)
    return replace(layer, name="", norm=True, weight_bits=FLOAT_BITS, activation_bits=FLOAT_BITS)


@dataclass(frozen=True, eq=False)
class BlockTable:
    """The costs of blocks on one device, and their sums over many networks at once.

    Attributes:
        device: its name, for people.
        rows: by `block_key`.
        constant: what every network costs on top of its blocks, if anything.
        batch: images that the figures stand for.
        clock_mhz: of the device, where that is known.
        validity: what comparing its sums with whole networks gave, in one line; "" where nobody did.
    """

    device: str
    rows: Mapping[Layer, BlockCost]
    constant: BlockCost | None = None
    batch: int = 1
    clock_mhz: float | None = None
    validity: str = ""

    def cost(self, layer: Layer) -> BlockCost | None:
        """Returns what a block costs; None where the table does not know it."""
        return self.rows.get(block_key(layer))

    def total(self, layers: Sequence[Layer]) -> BlockCost:
        """Returns the cost of one chain of layers; energy is None where any block has none.

        Raises:
            InputError: the table lacks a block.
        """
        if self._absent(layers):
            raise self._lacks(layers, "the network needs")
        parts = [self.rows[block_key(layer)] for layer in layers] + ([self.constant] if self.constant else [])
        energies = [part.energy_mj for part in parts]
        known = [energy for energy in energies if energy is not None]
        energy_mj = math.fsum(known) if known and len(known) == len(energies) else None
        return BlockCost(
            math.fsum(part.latency_ms for part in parts), energy_mj, f"sum of the table of {self.device}"
        )

    def latency_ms(self, candidates: Candidates) -> Floats:
        """Returns the latency [n] of each candidate: the sum over its blocks and the constant.

        Raises:
            InputError: the table lacks blocks that candidates need; nothing is guessed for them.
        """
        return self._sums(candidates, lambda cost: cost.latency_ms)

    def energy_mj(self, candidates: Candidates) -> Floats | None:
        """Returns the energy [n] of each candidate; None where a block in use has no energy.

        Raises:
            InputError: as `latency_ms`.
        """
        sums = self._sums(candidates, lambda cost: math.nan if cost.energy_mj is None else cost.energy_mj)
        return None if np.isnan(sums).any() else sums

    def missing(self, candidates: Candidates) -> list[Layer]:
        """Returns the distinct blocks that candidates need and the table lacks."""
        return self._absent(_used(candidates)[0])

    def _sums(self, candidates: Candidates, figure: Callable[[BlockCost], float]) -> Floats:
        layers, index = _used(candidates)
        costs = [self.cost(layer) for layer in layers]
        absent = np.array([cost is None for cost in costs] + [False])
        if absent.any():
            rows = np.flatnonzero(absent[index].any(axis=1))
            first = candidates[rows[:1]].ids[0]
            needing = f"{len(rows)} of {len(candidates)} candidates (such as {first})"
            raise self._lacks(layers, f"{needing} need")
        # The last entry is that of empty slots.
        values = np.array([figure(cost) for cost in costs if cost is not None] + [0.0])
        sums: Floats = values[index].sum(axis=1)
        return sums + (figure(self.constant) if self.constant else 0.0)

    def _absent(self, layers: Sequence[Layer]) -> list[Layer]:
        return list(dict.fromkeys(block_key(layer) for layer in layers if self.cost(layer) is None))

    def _lacks(self, layers: Sequence[Layer], needed_by: str) -> InputError:
        lacking = self._absent(layers)
        shown = "; ".join(describe(layer) for layer in lacking[:_SHOWN])
        more = f"; and {len(lacking) - _SHOWN} more" if len(lacking) > _SHOWN else ""
        return InputError(
            f"the block table of '{self.device}' must have every block that {needed_by}, but lacks "
            f"{len(lacking)}: {shown}{more}; measure them (hwnas profile --device table:FILE "
            "--missing LIST.csv writes all that the space needs), or narrow the space or the bits"
        )


def _used(candidates: Candidates) -> tuple[list[Layer], NDArray[np.intp]]:
    """The distinct blocks of candidates, and for each slot [n, slots] which; -1 where it is empty."""
    ids = candidates.layer_ids
    codes = np.where(ids >= 0, (ids << 12) | (candidates.weight_bits << 6) | candidates.activation_bits, -1)
    unique, inverse = np.unique(codes, return_inverse=True)
    inverse = inverse.reshape(codes.shape)
    skipped = int(len(unique) > 0 and unique[0] < 0)
    layers = [
        replace(
            candidates.space.vocabulary[code >> 12], weight_bits=code >> 6 & 63, activation_bits=code & 63
        )
        for code in unique[skipped:].tolist()
    ]
    return layers, inverse - skipped
