"""The student of distilling: sums from tables over slots, and a small network behind them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from hwnas.predictors.features import Floats, Ints
from hwnas.predictors.inducing import Inducing, Singles
from hwnas.spaces import FLOAT_BITS, Space

# Rows at a time: what they need stays in the processor's cache; a network needs more for each.
_ROWS, _ROWS_OF_NETWORK = 2048, 512


class Column(NamedTuple):
    """One sum: a constant for each image size, and by bits a table [slots, V + 1]."""

    sizes: Floats
    values: Callable[[int, int], Floats]


class Offset(NamedTuple):
    """What an output is known to be before the network adds to it: a logarithm of an expected cost.

    `log(norm) + shared / norm`, the norm being that of the sides' sums.

    Attributes:
        output: which one.
        sides: the sums of launching and computing, or the one sum of both.
        power: of the norm.
        unit: what the sides are multiplied with to be in the metric's unit.
        shared: the sum over layers of their corrections; None where there are none.
    """

    output: int
    sides: tuple[int, ...]
    power: float
    unit: float
    shared: int | None

    def of(self, sums: Floats) -> Floats:
        """Returns the known part [n] from the sums that the network sees."""
        sides = np.maximum(sums[:, list(self.sides)], 1e-9)
        log_norm = np.log(sides[:, 0])
        if len(self.sides) > 1:
            largest = sides.max(axis=1)
            ratios = sides.min(axis=1) / largest
            log_norm = np.log(largest) + np.log1p(ratios**self.power) / self.power
        if self.shared is None:
            return np.asarray(log_norm + np.log(self.unit))
        return np.asarray(log_norm + np.log(self.unit) + sums[:, self.shared] * np.exp(-log_norm))


@dataclass(frozen=True, eq=False)
class Head:
    """The network: the first sums as logarithms, all standardised, with rectified features of them.

    Attributes:
        offsets: what is known of outputs beforehand.
        logged: so many of the sums are amounts, seen as logarithms.
        center, scale: [sums]; scale is 0 for sums that never varied.
        hidden, bias: [sums, features] and [features], of the rectified features.
        weights: [sums + features, outputs].
        inducing: the smooth parts of Gaussian processes, whose coordinates are among the sums; those
            after the first `len(center)` are for them alone.
    """

    offsets: tuple[Offset, ...]
    logged: int
    center: Singles
    scale: Singles
    hidden: Singles
    bias: Singles
    weights: Singles
    inducing: tuple[Inducing, ...]

    def add(self, out: Floats, sums: Floats) -> None:
        """Adds to outputs [n, outputs] what is known beforehand, and what the network says."""
        singles = sums.astype(np.float32)
        out += self.features(singles) @ self.weights
        for part in self.inducing:
            part.add(out, singles)
        for offset in self.offsets:
            out[:, offset.output] += offset.of(sums)

    def features(self, sums: Singles) -> Singles:
        """Returns the standardised sums and the rectified features [n, sums + features]."""
        seen = sums[:, : len(self.center)].copy()
        np.log1p(np.maximum(sums[:, : self.logged], 0.0), out=seen[:, : self.logged])
        seen = (seen - self.center) * self.scale
        return np.concatenate([seen, np.maximum(seen @ self.hidden + self.bias, 0.0)], axis=1)


@dataclass(frozen=True, eq=False)
class Student:
    """Tables and, where they are not enough, the network behind them.

    Attributes:
        space: whose genomes it takes.
        exact: for each predictor, whether its tables are all of it.
        columns: first the linear part of each output, then the sums that the network sees.
        num_outputs: so many of the columns are outputs.
        head: the network; None where tables are enough.
    """

    space: Space
    exact: tuple[bool, ...]
    columns: tuple[Column, ...]
    num_outputs: int
    head: Head | None
    _tables: dict[tuple[int, int], Floats] = field(default_factory=dict, repr=False)

    def outputs(self, genomes: Ints, weight_bits: Ints | int, activation_bits: Ints | int) -> Floats:
        """Returns the outputs [n, num_outputs] of genomes [n, genes] with bits [n, slots] or for all."""
        out = np.empty((len(genomes), self.num_outputs))
        step = _ROWS if self.head is None else _ROWS_OF_NETWORK
        for start in range(0, len(genomes), step):
            rows = slice(start, start + step)
            sums = self.sums(genomes[rows], _part(weight_bits, rows), _part(activation_bits, rows))
            out[rows] = sums[:, : self.num_outputs]
            if self.head is not None:
                self.head.add(out[rows], sums[:, self.num_outputs :])
        return out

    def sums(self, genomes: Ints, weight_bits: Ints | int, activation_bits: Ints | int) -> Floats:
        """Returns all columns' sums [n, columns]."""
        ids = self.space.layer_ids(genomes)
        total: Floats = self._sizes[genomes[:, -1]]
        if isinstance(weight_bits, np.ndarray) or isinstance(activation_bits, np.ndarray):
            pairs: Ints = np.broadcast_to(
                np.asarray(weight_bits, dtype=np.int64) * (FLOAT_BITS + 1) + activation_bits, ids.shape
            )
            self._add_mixed(total, ids, np.broadcast_to(pairs, ids.shape))
            return total
        table = self._table(int(weight_bits), int(activation_bits))
        for slot in range(ids.shape[1]):
            total += table[slot].take(ids[:, slot], axis=0)
        return total

    def _add_mixed(self, total: Floats, ids: Ints, pairs: Ints) -> None:
        present = np.flatnonzero(np.bincount(pairs.ravel()))
        tables = [self._table(*divmod(int(pair), FLOAT_BITS + 1)) for pair in present]
        which = np.searchsorted(present, pairs)
        for slot in range(ids.shape[1]):
            stacked = np.stack([table[slot] for table in tables])
            total += stacked[which[:, slot], ids[:, slot]]

    @cached_property
    def _sizes(self) -> Floats:
        return np.stack([column.sizes for column in self.columns], axis=1)

    def _table(self, weight_bits: int, activation_bits: int) -> Floats:
        """All columns at these bits, [slots, V + 1, columns]; slots without weights keep their 32."""
        at = (weight_bits, activation_bits)
        if at not in self._tables:
            table = np.stack([column.values(*at) for column in self.columns], axis=2)
            fixed = ~self.space.quantizable_slots
            if fixed.any() and at != (FLOAT_BITS, FLOAT_BITS):
                table[fixed] = self._table(FLOAT_BITS, FLOAT_BITS)[fixed]
            table[:, -1] = 0.0
            self._tables[at] = table
        return self._tables[at]


def _part(bits: Ints | int, rows: slice) -> Ints | int:
    return bits[rows] if isinstance(bits, np.ndarray) and bits.ndim == 2 else bits
