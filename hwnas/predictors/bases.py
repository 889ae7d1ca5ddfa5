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
from hwnas.predictors.physics import Expectation, Physics, op_columns
from hwnas.spaces import FLOAT_BITS, Candidates, Space

# Bits are at most 32: weight bits times this plus activation bits is one number for a pair.
_PAIR = FLOAT_BITS + 1
# Features made at once: rows of spaces with thousands of distinct operations are long.
_ENTRIES = 1 << 21


@dataclass(frozen=True, eq=False)
class Inputs:
    """Candidates with what several features need of them, computed once."""

    candidates: Candidates
    physics: Expectation | None = None

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
        if self.physics is None:
            return np.ones(len(self.candidates))
        return self.physics.expect(self.totals, self.candidates)

    @cached_property
    def pairs(self) -> Ints:
        """The bits of each slot as one number, [n, slots]."""
        return pair_of_bits(self.candidates)


def pair_of_bits(candidates: Candidates) -> Ints:
    """Returns the weight and activation bits of each slot as one number, [n, slots]."""
    pairs: Ints = candidates.weight_bits * _PAIR + candidates.activation_bits
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


ColumnsKind = Literal["encoding", "choices", "sums", "summary"]


@dataclass(frozen=True, eq=False)
class Columns(Basis):
    """Plain columns, centred on the training candidates.

    Kinds: `encoding` is `features.encoding`; `choices` has a column for each choice of each gene
    besides; `sums` has the sum of the encoding over each group of genes, and `summary` the
    logarithms of the work besides, both at unit variance: the few directions that explain most
    where measurements are noisy.

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
        unit = 1 / np.maximum(deviation, 1e-9) if kind in ("sums", "summary") else np.ones(len(deviation))
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

    def as_choices(self, space: Space, weights: Floats) -> Floats:
        """Returns weights [L] on raw columns as weights on those of kind `choices`."""
        assert self.kind != "summary", "work is no sum over choices"
        if self.kind == "choices":
            return weights
        encoded = _membership(space) @ weights if self.kind == "sums" else weights
        return np.concatenate([encoded, np.zeros(int(space.choice_counts.sum()))])


def _columns(kind: ColumnsKind, inputs: Inputs) -> Floats:
    if kind == "encoding":
        return inputs.encoding
    if kind == "choices":
        return np.concatenate([inputs.encoding, one_hot(inputs.candidates)], axis=1)
    sums = inputs.encoding @ _membership(inputs.candidates.space)
    if kind == "sums":
        return sums
    # What a network computes does not depend on its bits, so its work is counted without them.
    table = totals(Candidates.of_genomes(inputs.candidates.space, inputs.candidates.genomes))
    work = np.stack([table[:, [TOTALS.index(name) for name in names]].sum(axis=1) for names in WORK], axis=1)
    return np.concatenate([sums, np.log1p(work)], axis=1)


def _membership(space: Space) -> Floats:
    """Which group each column of the encoding belongs to, [columns, groups] of 0 and 1."""
    groups = encoding_groups(space)
    return np.array([[name == group for name in dict.fromkeys(groups)] for group in groups], dtype=np.float64)


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
        table, ids = _op_table(self.space), inputs.candidates.layer_ids
        pairs, kinds = np.unique(inputs.pairs, return_inverse=True)
        costs = np.stack([self._costs(pair) for pair in pairs.tolist()])
        quantized = np.array(
            [min(divmod(pair, _PAIR)) < FLOAT_BITS for pair in pairs.tolist()], dtype=np.int64
        )
        signature, distinct = self._signature
        columns = 2 * distinct
        out = np.empty((len(ids), columns))
        step = max(1, _ENTRIES // columns)
        for start in range(0, len(ids), step):
            some = slice(start, start + step)
            row, slot = np.nonzero(ids[some] >= 0)
            layers = ids[some][row, slot]
            counts = table.counts[layers]
            first = np.cumsum(counts) - counts
            op = np.arange(counts.sum()) + np.repeat(table.starts[layers] - first, counts)
            kind = np.repeat(kinds.reshape(ids.shape)[some][row, slot], counts)
            at = np.repeat(row * columns, counts) + signature[op] + quantized[kind] * distinct
            block = out[some]
            block[:] = np.bincount(at, costs[kind, op], block.size).reshape(block.shape)
        return out / inputs.expected[:, None]

    def product(self, vectors: Floats) -> Callable[[Inputs], Floats]:
        """Returns the function from inputs to `rows @ vectors`."""
        return _Lookup(self, vectors)

    def squared_norms(self, inputs: Inputs) -> Floats:
        """Returns the squared lengths without regard to size, never below those of sized operations."""
        rows = Shares(self.space, self.physics, sized=False).rows(inputs)
        norms: Floats = np.square(rows).sum(axis=1)
        return norms

    def layer_table(self, pair: int, vectors: Floats) -> Floats:
        """Returns what each layer at these bits adds to the products, [V + 1, m]."""
        signature, distinct = self._signature
        if min(divmod(pair, _PAIR)) < FLOAT_BITS:
            signature = signature + distinct
        table = _op_table(self.space)
        out = np.zeros((len(table.counts) + 1, vectors.shape[1]))
        parts = self._costs(pair)[:, None] * vectors[signature]
        out[:-1] = np.add.reduceat(parts, table.starts, axis=0)
        return out

    def _costs(self, pair: int) -> Floats:
        """What each operation costs at these bits, [M]."""
        return self.physics.of_ops(_op_table(self.space).columns, *divmod(pair, _PAIR))

    @property
    def _signature(self) -> tuple[Ints, int]:
        table = _op_table(self.space)
        return (table.sized, table.num_sized) if self.sized else (table.unsized, table.num_unsized)


@dataclass(frozen=True, eq=False)
class _Lookup:
    """Products of shares with fixed vectors; tables are made when a pair of bits is first seen."""

    basis: Shares
    vectors: Floats
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


def layer_prices(space: Space, physics: Physics, weight_bits: int, activation_bits: int) -> Floats:
    """Returns what physics expects of each layer of the vocabulary at these bits, [V]."""
    table = _op_table(space)
    prices: Floats = np.add.reduceat(
        physics.of_ops(table.columns, weight_bits, activation_bits), table.starts
    )
    return prices


class _OpTable(NamedTuple):
    """Every operation of every layer of a vocabulary, in order."""

    starts: Ints  # [V]: each layer's first operation
    counts: Ints  # [V]: how many it has
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
        starts=np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64),
        counts=np.array(counts, dtype=np.int64),
        columns=np.array([op_columns(op) for op in ops], dtype=np.float64),
        sized=sized,
        unsized=unsized,
        num_sized=num_sized,
        num_unsized=num_unsized,
    )


def _numbered(keys: list[tuple[object, ...]]) -> tuple[NDArray[np.int64], int]:
    number = {key: index for index, key in enumerate(dict.fromkeys(keys))}
    return np.array([number[key] for key in keys], dtype=np.int64), len(number)
