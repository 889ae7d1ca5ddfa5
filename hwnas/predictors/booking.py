"""Booking: what each choice of each gene is worth, told as what each layer in each slot is worth."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import InputError
from hwnas.predictors.features import Floats, Ints, bits_taken, gene_values
from hwnas.spaces import Space


@dataclass(frozen=True, eq=False)
class Booking:
    """Worths by slot and layer.

    Attributes:
        sizes: float64 [image sizes].
        layers: float64 [slots, V + 1] in floating point; the last column is 0.
        weight_bits, activation_bits: float64 [slots], for each octave (over 4) taken below 16 bits.
    """

    sizes: Floats
    layers: Floats
    weight_bits: Floats
    activation_bits: Floats

    def values(self, weight_bits: int, activation_bits: int) -> Floats:
        """Returns what each layer in each slot is worth at these bits, [slots, V + 1]."""
        taken = [float(bits_taken(np.array(bits))) for bits in (weight_bits, activation_bits)]
        low = self.weight_bits * taken[0] + self.activation_bits * taken[1]
        table = self.layers + low[:, None]
        table[:, -1] = 0.0
        return table


def book_columns(space: Space, weights: Floats) -> Booking:
    """Returns the booking of weights on the columns of `features.encoding` and `features.one_hot`.

    A gene whose choice can be read off the layer of a slot that is there whenever the gene matters
    is booked there, by layer; a gene that says which slots are there is booked by presence: three
    blocks are worth what two are, and what the third adds.

    Raises:
        InputError: a gene is neither; its worth is then no sum over layers.
    """
    counts, genes = space.choice_counts, len(space.genes)
    slots = int(space.quantizable_slots.sum())
    hot = np.split(weights[genes + 2 * slots :], np.cumsum(counts)[:-1])
    values = gene_values(space)
    worth = [weights[row] * values[row, : counts[row]] + hot[row] for row in range(genes)]
    layers = np.zeros((len(space.slots), len(space.vocabulary) + 1))
    constant = sum(_booked(space, gene, worth[gene], layers) for gene in range(genes - 1))
    layers[:, -1] = 0.0
    bits = np.zeros((2, len(space.slots)))
    bits[:, space.quantizable_slots] = weights[genes : genes + 2 * slots].reshape(2, slots)
    return Booking(worth[-1] + constant, layers, *bits)


def _booked(space: Space, gene: int, worth: Floats, layers: Floats) -> float:
    """Books what a gene's choices are worth [choices] in `layers`; returns what is left for all alike."""
    tables = [
        (slot, np.moveaxis(table, columns.index(gene), 0).reshape(len(worth), -1))
        for slot, (table, columns) in enumerate(zip(space.tables.tables, space.tables.columns, strict=True))
        if gene in columns
    ]
    if not tables:
        return float(worth[0])
    matters = _sample_active(space)[:, gene]
    present = np.stack([(table >= 0).any(axis=1) for _, table in tables], axis=1).astype(np.float64)
    if np.ptp(present, axis=0).any():
        # The blocks that all choices have are worth the same in all, as far as the gene always matters.
        known = np.concatenate([present, np.full((len(worth), 1), float(matters.all()))], axis=1)
        added, *_ = np.linalg.lstsq(known, worth, rcond=None)
        if np.abs(known @ added - worth).max() < 1e-9 * (1 + np.abs(worth).max()):
            for (slot, _), value in zip(tables, added[:-1], strict=True):
                layers[slot] += value
            return float(added[-1])
    filled = space.layer_ids(_sample(space)) >= 0
    for slot, table in tables:
        if _tells(table) and filled[matters, slot].all():
            for choice, ids in enumerate(table):
                layers[slot, np.unique(ids[ids >= 0])] += worth[choice]
            return 0.0
    raise InputError(
        f"space '{space.name}' cannot be searched by tables: the choice of gene {space.genes[gene].name} "
        "cannot be read off any one layer; use another method"
    )


def _tells(table: Ints) -> bool:
    """Whether no layer stands in this slot for two choices."""
    rows = [set(row[row >= 0].tolist()) for row in table]
    return sum(map(len, rows)) == len(set().union(*rows))


def _sample(space: Space) -> Ints:
    """Enough genomes to see every choice of depth many times."""
    return np.random.default_rng(0).integers(0, space.choice_counts, size=(512, len(space.genes)))


def _sample_active(space: Space) -> NDArray[np.bool_]:
    return space.active_genes(_sample(space))
