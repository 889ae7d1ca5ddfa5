"""Linear features of a Gaussian process: many columns, predicted by looking up a few numbers.

A basis maps candidates to rows of features. Fitting needs the rows themselves; predicting needs
only their products with fixed vectors, which for `Shares` are sums over the chain of layers, so
that thousands of columns cost one table look-up a layer.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwnas.predictors.features import TOTALS, WORK, Floats, Ints, encoding, encoding_groups, one_hot, totals
from hwnas.predictors.physics import Physics, op_columns
from hwnas.spaces import FLOAT_BITS, Candidates, Space

# Bits are at most 32: weight bits times this plus activation bits is one number for a pair.
_PAIR = FLOAT_BITS + 1


@dataclass(frozen=True, eq=False)
class Inputs:
    """Candidates with what several features need of them, computed once."""

    candidates: Candidates
    physics: Physics | None = None

    @cached_property
    def totals(self) -> Floats:
        """`features.totals`, [n, len(TOTALS)]."""
        return totals(self.candidates)

    @cached_property
    def encoding(self) -> Floats:
        """`features.encoding`, [n, columns]."""
        return encoding(self.candidates)

    @cached_property
    def expected(self) -> Floats:
        """What the physics predicts, [n]; ones without physics."""
        return np.ones(len(self.candidates)) if self.physics is None else self.physics.predict(self.totals)

    @cached_property
    def pairs(self) -> Ints:
        """The bits of each slot as one number, [n, slots]."""
        pairs: Ints = self.candidates.weight_bits * _PAIR + self.candidates.activation_bits
        return pairs


class Basis(ABC):
    """A block of linear features."""

    @abstractmethod
    def rows(self, inputs: Inputs) -> Floats:
        """Returns the features [n, L]."""

    @abstractmethod
    def product(self, vectors: Floats) -> Callable[[Inputs], Floats]:
        """Returns the function from inputs to `rows @ vectors` [n, m], for vectors [L, m]."""

    @abstractmethod
    def squared_norms(self, inputs: Inputs) -> Floats:
        """Returns the squared length of each row [n], or a bound from above."""


ColumnsKind = Literal["encoding", "choices", "summary"]


@dataclass(frozen=True, eq=False)
class Columns(Basis):
    """Plain columns, centred on the training candidates.

    Kinds: `encoding` is `features.encoding`; `choices` has a column for each choice of each gene
    besides; `summary` has the sum of the encoding over each group of genes and the logarithms of
    the work, at unit variance: the few directions that explain most where measurements are noisy.

    Attributes:
        center: float64 [L], subtracted.
        scale: float64 [L], multiplied; 0 for columns that never varied in training.
    """

    kind: ColumnsKind
    center: Floats
    scale: Floats

    @staticmethod
    def around(kind: ColumnsKind, inputs: Inputs) -> "Columns":
        """Returns the basis centred on these candidates."""
        raw = _columns(kind, inputs)
        deviation = raw.std(axis=0)
        varies = deviation > 1e-9
        unit = 1 / np.maximum(deviation, 1e-9) if kind == "summary" else np.ones(len(deviation))
        return Columns(kind, raw.mean(axis=0), np.where(varies, unit, 0.0))

    def rows(self, inputs: Inputs) -> Floats:
        """Returns the features [n, L]."""
        return (_columns(self.kind, inputs) - self.center) * self.scale

    def product(self, vectors: Floats) -> Callable[[Inputs], Floats]:
        """Returns the function from inputs to `rows @ vectors`."""
        return lambda inputs: self.rows(inputs) @ vectors

    def squared_norms(self, inputs: Inputs) -> Floats:
        """Returns the squared length of each row [n]."""
        norms: Floats = np.square(self.rows(inputs)).sum(axis=1)
        return norms


def _columns(kind: ColumnsKind, inputs: Inputs) -> Floats:
    if kind == "encoding":
        return inputs.encoding
    if kind == "choices":
        return np.concatenate([inputs.encoding, one_hot(inputs.candidates)], axis=1)
    groups = encoding_groups(inputs.candidates.space)
    member = np.array(
        [[name == group for name in dict.fromkeys(groups)] for group in groups], dtype=np.float64
    )
    # What a network computes does not depend on its bits, so its work is counted without them.
    table = totals(Candidates.of_genomes(inputs.candidates.space, inputs.candidates.genomes))
    work = np.stack([table[:, [TOTALS.index(name) for name in names]].sum(axis=1) for names in WORK], axis=1)
    return np.concatenate([inputs.encoding @ member, np.log1p(work)], axis=1)


@dataclass(frozen=True, eq=False)
class Shares(Basis):
    """The share of the expected time that each distinct operation takes.

    Kernels are faster or slower than physics says, each by a factor of its own: a network's time
    over the expected one is then linear in these shares. With `sized`, an operation on maps of
    another size is another operation.
    """

    space: Space
    physics: Physics
    sized: bool

    def rows(self, inputs: Inputs) -> Floats:
        """Returns the features [n, L]."""
        return _Lookup(self, None)(inputs)

    def product(self, vectors: Floats) -> Callable[[Inputs], Floats]:
        """Returns the function from inputs to `rows @ vectors`."""
        return _Lookup(self, vectors)

    def squared_norms(self, inputs: Inputs) -> Floats:
        """Returns the squared lengths without regard to size, never below those of sized operations."""
        rows = Shares(self.space, self.physics, sized=False).rows(inputs)
        norms: Floats = np.square(rows).sum(axis=1)
        return norms

    def layer_table(self, pair: int, vectors: Floats | None) -> Floats:
        """Returns what each layer at these bits adds to the products, [V + 1, m].

        Without vectors, to the features themselves, [V + 1, L].
        """
        table = _op_table(self.space)
        weight_bits, activation_bits = divmod(pair, _PAIR)
        costs = self.physics.of_ops(table.columns, weight_bits, activation_bits)
        signature, distinct = (
            (table.sized, table.num_sized) if self.sized else (table.unsized, table.num_unsized)
        )
        if min(weight_bits, activation_bits) < FLOAT_BITS:
            signature = signature + distinct
        out = np.zeros((table.num_layers + 1, 2 * distinct if vectors is None else vectors.shape[1]))
        if vectors is None:
            np.add.at(out, (table.layer, signature), costs)
        else:
            out[:-1] = np.add.reduceat(costs[:, None] * vectors[signature], table.starts, axis=0)
        return out


@dataclass(frozen=True, eq=False)
class _Lookup:
    """Products of shares with fixed vectors; tables are made when a pair of bits is first seen."""

    basis: Shares
    vectors: Floats | None
    _tables: dict[int, Floats] = field(default_factory=dict, repr=False)

    def __call__(self, inputs: Inputs) -> Floats:
        ids, pairs = inputs.candidates.layer_ids, inputs.pairs
        present = np.flatnonzero(np.bincount(pairs.ravel())).tolist()
        for pair in present:
            if pair not in self._tables:
                self._tables[pair] = self.basis.layer_table(pair, self.vectors)
        stacked = np.concatenate([self._tables[pair] for pair in present])
        step = len(self.basis.space.vocabulary) + 1
        base = np.zeros(_PAIR * _PAIR, dtype=np.int64)
        base[present] = np.arange(len(present)) * step
        at = np.where(ids < 0, step - 1, ids) + base[pairs]
        out = np.zeros((len(ids), stacked.shape[1]))
        for slot in range(ids.shape[1]):
            out += stacked[at[:, slot]]
        return out / inputs.expected[:, None]


class _OpTable(NamedTuple):
    """Every operation of every layer of a vocabulary, in order."""

    num_layers: int
    starts: Ints  # [V]: each layer's first operation
    layer: Ints  # [M]: the layer of each operation
    columns: Floats  # [M, 6]: `physics.op_columns`
    sized: Ints  # [M]: which distinct operation, map size included
    unsized: Ints  # [M]
    num_sized: int
    num_unsized: int


@lru_cache(maxsize=16)
def _op_table(space: Space) -> _OpTable:
    ops = [op for layer in space.vocabulary for op in layer.ops]
    counts = [len(layer.ops) for layer in space.vocabulary]
    kinds = [
        (
            op.kind,
            op.in_channels,
            op.out_channels,
            op.kernel if op.kind != "pool" else 0,
            op.stride,
            op.activation,
        )
        for op in ops
    ]
    unsized, num_unsized = _numbered(
        [(*kind, op.in_size_px == 1) for kind, op in zip(kinds, ops, strict=True)]
    )
    sized, num_sized = _numbered([(*kind, op.in_size_px) for kind, op in zip(kinds, ops, strict=True)])
    return _OpTable(
        num_layers=len(counts),
        starts=np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64),
        layer=np.repeat(np.arange(len(counts)), counts),
        columns=np.array([op_columns(op) for op in ops], dtype=np.float64),
        sized=sized,
        unsized=unsized,
        num_sized=num_sized,
        num_unsized=num_unsized,
    )


def _numbered(keys: list[tuple[object, ...]]) -> tuple[NDArray[np.int64], int]:
    number = {key: index for index, key in enumerate(dict.fromkeys(keys))}
    return np.array([number[key] for key in keys], dtype=np.int64), len(number)
