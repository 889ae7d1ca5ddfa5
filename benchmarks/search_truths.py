"""Truths for searches on public data: what an ImageNet accuracy, MACs and a latency would be.

Fitted on `ofa/accuracy_imagenet.csv` (ImageNet accuracies of OFA subnets at 224 px, from DyNAS-T)
and `ofa/latency_gpus.csv` (latencies on GPUs, from the HELP benchmark), columns as
`read_measurements` reads them. A truth that is a sum over blocks has an exact front; a Gaussian
process and boosted trees are truths of other forms, without one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwnas.predictors import read_measurements
from hwnas.predictors.features import one_hot
from hwnas.search.exact import ExactFront, Factor, exact_front
from hwnas.spaces import Candidates, Space, get_space
from hwnas.spaces.mobilenet import MobileNetSpace

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FULL = "ofa-mobilenetv3-w1.0"
# Accuracies were measured at this size alone, so the searched space has no other.
SIZE_PX = 224


def space_at_224() -> MobileNetSpace:
    """Returns the Once-for-All space with one image size."""
    full = get_space(FULL)
    assert isinstance(full, MobileNetSpace)
    return MobileNetSpace(
        full.recipe.model_copy(update={"name": f"{FULL}-{SIZE_PX}", "image_sizes": (SIZE_PX,)})
    )


@dataclass(frozen=True, eq=False)
class Additive:
    """A quantity that is `inverse` of a constant and a sum over the choices that matter.

    Attributes:
        weights: by gene, one value a choice.
        ceiling: of the link accuracy = ceiling - exp(-sum); None where the sum is the value.
    """

    space: Space
    constant: float
    weights: tuple[Floats, ...]
    ceiling: float | None = None

    @cached_property
    def _flat(self) -> Floats:
        return np.concatenate(self.weights)

    def sums(self, genomes: Ints) -> Floats:
        """Returns the sums [n], constant included."""
        starts = np.concatenate([[0], np.cumsum(self.space.choice_counts)[:-1]])
        parts = self._flat[starts + genomes] * self.space.active_genes(genomes)
        total: Floats = parts.sum(axis=1) + self.constant
        return total

    def values(self, genomes: Ints) -> Floats:
        """Returns the quantity [n]."""
        sums = self.sums(genomes)
        return sums if self.ceiling is None else self.ceiling - np.exp(-sums)

    def tables(self) -> list[Floats]:
        """Returns what each slot adds, over the genes it depends on; depth counts in its last slot."""
        groups = [gene.group for gene in self.space.genes]
        columns = self.space.tables.columns
        last = {gene: slot for slot, genes in enumerate(columns) for gene in genes if groups[gene] == "d"}
        found = []
        for slot, (genes, table) in enumerate(zip(columns, self.space.tables.tables, strict=True)):
            part = np.zeros(table.shape)
            for axis, gene in enumerate(genes):
                column = self.weights[gene].reshape([-1 if a == axis else 1 for a in range(part.ndim)])
                if groups[gene] in ("ks", "e"):
                    part = part + np.where(table >= 0, column, 0.0)
                elif last.get(gene) == slot:
                    part = part + column
            found.append(part)
        return found


def fit_accuracy(data: Path, space: Space) -> Additive:
    """Returns the link-additive ridge fit of ImageNet top-1, percent."""
    candidates, values = read_accuracies(data, space)
    columns = one_hot(candidates)
    best = min(
        ((_cv_error(columns, values, ceiling), ceiling) for ceiling in np.arange(78.2, 81.0, 0.2)),
        key=lambda pair: pair[0],
    )
    ceiling = float(best[1])
    fit = _ridge(columns, -np.log(ceiling - values))
    return Additive(space, fit[0], _by_gene(space, fit[1]), ceiling)


def read_accuracies(data: Path, space: Space) -> tuple[Candidates, Floats]:
    """Returns the distinct measured subnets in the space at 224 px, and their accuracies."""
    every = read_measurements(data / "ofa" / "accuracy_imagenet.csv", get_space(FULL), "accuracy_top1")
    first = every.candidates.first_of_each()
    genomes = every.candidates.genomes[first].copy()
    genomes[:, -1] = 0
    return Candidates.of_genomes(space, genomes), np.asarray(every.values)[first]


def macs(space: Space) -> Callable[[Ints], Floats]:
    """Returns the function from genomes to millions of multiply-accumulates."""
    table = space.cost_table.macs / 1e6
    return lambda genomes: np.asarray(table[space.layer_ids(genomes)].sum(axis=1))


def macs_tables(space: Space) -> list[Floats]:
    """Returns the millions of multiply-accumulates of each slot, over the genes it depends on."""
    table = space.cost_table.macs / 1e6
    return [table[ids] for ids in space.tables.tables]


def fit_latency(data: Path, setting: str, space: Space) -> tuple[Additive, float]:
    """Returns a sum over blocks fitted on a GPU setting, ms at 224 px, and its error in percent.

    Each choice of a block has a price that is a parabola in the image size (the assumption of
    lookup tables); the error is that of the last 1,000 networks by a fit on the others.
    """
    full = get_space(FULL)
    every = read_measurements(data / "ofa" / "latency_gpus.csv", full, f"latency_ms:{setting}")
    values = np.asarray(every.values)
    columns = one_hot(every.candidates)[:, : int(full.choice_counts[:-1].sum())]
    size = np.array(full.image_sizes)[every.candidates.genomes[:, -1]] / SIZE_PX
    powers = np.stack([np.ones(len(size)), size - 1, np.square(size) - 1], axis=1)
    rows = (columns[:, :, None] * powers[:, None, :]).reshape(len(size), -1)
    rows = np.concatenate([rows, powers[:, 1:]], axis=1)
    constant, found = _ridge(rows[:-1000], values[:-1000])
    error = 100 * float(np.abs((rows[-1000:] @ found + constant) / values[-1000:] - 1).mean())
    constant, found = _ridge(rows, values)
    at_224 = found[: 3 * columns.shape[1] : 3]  # the other powers are nought at 224 px
    return Additive(space, constant, _by_gene(space, np.append(at_224, 0.0))), error


def exact(space: Space, cost: list[Floats], score: list[Floats]) -> ExactFront:
    """Returns the exact front of slot tables; the sums are without constants."""
    parts = zip(space.tables.columns, cost, score, strict=True)
    return exact_front([Factor(*part) for part in parts], len(space.genes), outer=len(space.genes) - 1)


def _by_gene(space: Space, flat: Floats) -> tuple[Floats, ...]:
    return tuple(np.split(flat[: int(space.choice_counts.sum())], np.cumsum(space.choice_counts)[:-1]))


def _ridge(columns: Floats, values: Floats, strength: float = 0.3) -> tuple[float, Floats]:
    middle = columns.mean(axis=0)
    centred = columns - middle
    found = np.linalg.solve(
        centred.T @ centred + strength * np.eye(columns.shape[1]), centred.T @ (values - values.mean())
    )
    return float(values.mean() - middle @ found), found


def _cv_error(columns: Floats, values: Floats, ceiling: float) -> float:
    if ceiling <= values.max() + 0.02:
        return np.inf
    fold = np.random.default_rng(0).integers(0, 5, len(values))
    errors = []
    for number in range(5):
        inside = fold == number
        constant, found = _ridge(columns[~inside], -np.log(ceiling - values[~inside]))
        errors.append(ceiling - np.exp(-(columns[inside] @ found + constant)) - values[inside])
    return float(np.sqrt(np.square(np.concatenate(errors)).mean()))
