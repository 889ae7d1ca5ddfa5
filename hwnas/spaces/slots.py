"""Slots: which layer stands where, as tables over the genes that decide it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.spaces.layer import Layer

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
# A layer that may fill a slot, and for which choice of which genes: a slice is all from one on,
# where a gene counts the blocks that run.
Entry = tuple[str, Mapping[str, int | slice], Layer]

# Rows looked up at a time: few enough that all genes of them stay in the processor's cache.
_ROWS = 2048


@dataclass(frozen=True, eq=False)
class SlotTables:
    """For each slot of a space the layer that fills it, by the genes that it depends on.

    Attributes:
        vocabulary: every distinct layer.
        slots: the names of the places in the chain.
        columns: for each slot, the numbers of the genes that its layer depends on.
        tables: for each slot, ids of layers with an axis for each of its columns; -1 is absent.
        choice_counts: the number of choices of each gene.
    """

    vocabulary: tuple[Layer, ...]
    slots: tuple[str, ...]
    columns: tuple[tuple[int, ...], ...]
    tables: tuple[Ints, ...]
    choice_counts: tuple[int, ...]

    @staticmethod
    def of(choice_counts: Mapping[str, int], entries: Iterable[Entry]) -> "SlotTables":
        """Returns the tables that hold these entries and are absent elsewhere.

        Args:
            choice_counts: the number of choices of each gene by its name, in genome order.
            entries: slots in the order of the chain; all of one slot name the same genes, in the
                same order.
        """
        numbers = {name: number for number, name in enumerate(choice_counts)}
        columns: dict[str, tuple[int, ...]] = {}
        tables: dict[str, Ints] = {}
        ids: dict[Layer, int] = {}
        for slot, at, layer in entries:
            if slot not in tables:
                columns[slot] = tuple(numbers[name] for name in at)
                tables[slot] = np.full([choice_counts[name] for name in at], -1, dtype=np.int64)
            tables[slot][tuple(at.values())] = ids.setdefault(layer, len(ids))
        counts = tuple(choice_counts.values())
        return SlotTables(tuple(ids), tuple(columns), tuple(columns.values()), tuple(tables.values()), counts)

    def layer_ids(self, genomes: Ints) -> Ints:
        """Returns vocabulary ids [n, slots]; -1 where the slot is empty."""
        ids = np.empty((len(genomes), len(self.slots)), dtype=np.int64)
        for rows, genes in _blocks(genomes):
            ids[rows] = np.stack([table.look_up(genes) for table in self._slot_tables], axis=1)
        return ids

    def canonical(self, genomes: Ints) -> Ints:
        """Returns genomes [n, genes] with the smallest choice that builds the same layers in each gene."""
        result = np.empty((len(genomes), len(self.choice_counts)), dtype=np.int64)
        for rows, genes in _blocks(genomes):
            for gene, table in self._canonical_tables.items():
                genes[gene] = table.look_up(genes)
            result[rows] = genes.T
        return result

    def active(self, genomes: Ints) -> Bools:
        """Returns which genes [n, genes] matter: those with a choice that fills a slot of theirs.

        Genes without a slot, such as a depth without a choice, have to be what they are: they matter.
        """
        result = np.ones((len(genomes), len(self.choice_counts)), dtype=bool)
        for rows, genes in _blocks(genomes):
            for gene, table in self._active_tables.items():
                result[rows, gene] = table.look_up(genes)
        return result

    @cached_property
    def slot_choices(self) -> dict[str, tuple[Layer, ...]]:
        """The layers that may stand in each slot."""
        return {
            slot: tuple(self.vocabulary[row] for row in np.unique(table) if row >= 0)
            for slot, table in zip(self.slots, self.tables, strict=True)
        }

    @cached_property
    def _slot_tables(self) -> tuple["_Table", ...]:
        return tuple(map(_Table.of, self.columns, self.tables))

    @cached_property
    def _canonical_tables(self) -> dict[int, "_Table"]:
        """The smallest equivalent choice of each gene, where any two choices of it are ever alike."""
        found = {}
        for gene, count in enumerate(self.choice_counts):
            pairs = np.zeros((count, count), dtype=bool)
            for table, columns in self._users(gene):
                first = np.moveaxis(table, columns.index(gene), 0).reshape(count, -1)
                pairs |= (first[:, None] != first).all(axis=2)
                if pairs.sum() == count * (count - 1):
                    break
            else:
                found[gene] = self._smallest_alike(gene)
        return found

    def _smallest_alike(self, gene: int) -> "_Table":
        others = self._others(gene)
        count = self.choice_counts[gene]
        alike = np.ones([*(self.choice_counts[other] for other in others), count, count], dtype=bool)
        for table, columns in self._users(gene):
            spread = _spread(table, columns, (*others, gene))
            alike &= spread[..., None] == spread[..., None, :]
        return _Table.of((*others, gene), alike.argmax(axis=-1))

    @cached_property
    def _active_tables(self) -> dict[int, "_Table"]:
        """Whether each gene matters, where it does not always."""
        found = {}
        for gene in range(len(self.choice_counts)):
            fills = [
                (np.asarray((table >= 0).any(axis=columns.index(gene), keepdims=True)), columns)
                for table, columns in self._users(gene)
            ]
            if not fills or any(filled.all() for filled, _ in fills):
                continue
            others = self._others(gene)
            active = np.zeros([self.choice_counts[other] for other in others], dtype=bool)
            for filled, columns in fills:
                active |= _spread(filled, columns, (*others, gene))[..., 0]
            found[gene] = _Table.of(others, active)
        return found

    def _users(self, gene: int) -> list[tuple[Ints, tuple[int, ...]]]:
        """The tables, and their columns, that depend on a gene."""
        pairs = zip(self.tables, self.columns, strict=True)
        return [(table, columns) for table, columns in pairs if gene in columns]

    def _others(self, gene: int) -> tuple[int, ...]:
        """The genes that share a slot with a gene."""
        return tuple(sorted({other for _, columns in self._users(gene) for other in columns} - {gene}))


@dataclass(frozen=True, eq=False)
class _Table:
    """A table over some genes, flat, with the step of each gene in it."""

    flat: NDArray[Any]
    steps: tuple[tuple[int, int], ...]

    @staticmethod
    def of(columns: Sequence[int], table: NDArray[Any]) -> "_Table":
        """Returns the table without the axes along which it does not change."""
        kept: list[int] = []
        for gene in columns:
            axis = len(kept)
            if (table == table.take([0], axis)).all():
                table = table.take(0, axis)
            else:
                kept.append(gene)
        steps = [int(np.prod(table.shape[axis + 1 :])) for axis in range(len(kept))]
        return _Table(table.ravel(), tuple(zip(kept, steps, strict=True)))

    def look_up(self, genes: Ints) -> NDArray[Any]:
        """Returns the entries of n genomes given as [genes, n]."""
        index = np.zeros(genes.shape[1], dtype=np.int64)
        for gene, step in self.steps:
            index += genes[gene] * step
        found: NDArray[Any] = self.flat[index]
        return found


def _blocks(genomes: Ints) -> Iterable[tuple[slice, Ints]]:
    """Yields runs of rows, and their genes as a new array [genes, rows]."""
    for start in range(0, len(genomes), _ROWS):
        rows = slice(start, start + _ROWS)
        yield rows, np.array(genomes[rows].T, dtype=np.int64, order="C")


def _spread(table: NDArray[Any], columns: Sequence[int], axes: Sequence[int]) -> NDArray[Any]:
    """Returns a view of the table with these genes as axes, of length 1 where it does not depend."""
    order = [columns.index(gene) for gene in axes if gene in columns]
    lengths = iter(np.transpose(table, order).shape)
    return np.transpose(table, order).reshape([next(lengths) if gene in columns else 1 for gene in axes])
