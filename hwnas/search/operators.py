"""Operators on choice vectors that know what the positions stand for, vectorised over vectors."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas.search.genome import Genome
from hwnas.spaces import Space

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Layout:
    """What the positions of a choice vector stand for.

    Attributes:
        counts: choices at each position, [length].
        part: the stage of each position, or a part of its own for what spans the network, [length].
        kind: the group of each position: kernels, expand ratios, depths, bits ..., [length].
    """

    counts: Ints
    part: Ints
    kind: Ints

    @staticmethod
    def of(genome: Genome) -> "Layout":
        """Returns the layout of a genome."""
        counts = genome.choice_counts
        space = genome.space
        stages = _stages(space)
        bits = _bit_positions(genome, stages)
        names = [*(gene.group for gene in space.genes), *(kind for kind, _ in bits)]
        kinds = {name: number for number, name in enumerate(dict.fromkeys(names))}
        parts = [*_gene_parts(space, stages), *(part for _, part in bits)]
        numbers = {part: number for number, part in enumerate(dict.fromkeys(parts))}
        return Layout(
            counts,
            np.array([numbers[part] for part in parts], dtype=np.int64),
            np.array([kinds[name] for name in names], dtype=np.int64),
        )


def crossed(one: Ints, other: Ints, layout: Layout, rng: np.random.Generator) -> Ints:
    """Returns a child of each pair of vectors [n, length].

    Half of the children take each position from either parent, half each stage as a whole.
    """
    n, length = one.shape
    single = rng.random((n, length)) < 0.5
    whole = (rng.random((n, int(layout.part.max()) + 1)) < 0.5)[:, layout.part]
    return np.where(np.where(rng.random((n, 1)) < 0.5, single, whole), one, other)


def mutated(vectors: Ints, layout: Layout, rate: float, rng: np.random.Generator) -> Ints:
    """Returns mutants of vectors [n, length].

    A third of them move one kind of choice of one stage as a whole: all to one choice, or all a
    step up or down. In the others about `rate` positions move, at least one: half by a step to a
    neighbouring choice, half to any other choice.
    """
    n, length = vectors.shape
    counts = layout.counts
    free = counts > 1
    picked = rng.random((n, length)) < rate / max(1, int(free.sum()))
    picked[np.arange(n), rng.choice(np.flatnonzero(free), n)] = True
    anything = (vectors + rng.integers(1, np.maximum(counts, 2), size=(n, length))) % counts
    step = np.where(rng.random((n, length)) < 0.5, 1, -1)
    # A step off the end is one back from it.
    near = vectors + np.where((vectors + step < 0) | (vectors + step >= counts), -step, step)
    single = np.where(rng.random((n, length)) < 0.5, anything, near)
    group = layout.part * (int(layout.kind.max()) + 1) + layout.kind
    chosen = group[rng.choice(np.flatnonzero(free), n)]
    shift = rng.integers(-1, 2, size=(n, 1))
    level = (rng.random((n, 1)) * counts).astype(np.int64)
    stage = np.where(shift == 0, level, vectors + shift)
    whole = rng.random((n, 1)) < 1 / 3
    moved = np.where(whole, stage, single)
    touched = np.where(whole, group == chosen[:, None], picked) & free
    return np.where(touched, np.clip(moved, 0, counts - 1), vectors)


def _stages(space: Space) -> list[str]:
    """The stage of each slot: `stages.2` of `stages.2.1`, "" for what stands alone."""
    return [".".join(name.split(".")[:2]) if name.startswith("stages.") else "" for name in space.slots]


def _gene_parts(space: Space, stages: list[str]) -> list[str]:
    parts = []
    for number, gene in enumerate(space.genes):
        found = {
            stage for stage, columns in zip(stages, space.tables.columns, strict=True) if number in columns
        } - {""}
        parts.append(found.pop() if len(found) == 1 else gene.name)
    return parts


def _bit_positions(genome: Genome, stages: list[str]) -> list[tuple[str, str]]:
    """The kind and the stage of each position of bits, by what changes when it moves."""
    length = len(genome.bit_genes.choice_counts)
    weights, activations = genome.bit_genes.decode(np.eye(length + 1, length, -1, dtype=np.int64))
    found = []
    for row in range(1, length + 1):
        by_weights = weights[row] != weights[0]
        moved = by_weights | (activations[row] != activations[0])
        touched = {stages[slot] for slot in np.flatnonzero(moved)}
        part = touched.pop() if len(touched) == 1 else ""
        found.append(("weight_bits" if by_weights.any() else "activation_bits", part or f"bits {row}"))
    return found
