"""What every inner search on predictors takes and returns."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas.search.genome import Genome
from hwnas.search.pareto import non_dominated

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

# Vectors [n, length] -> objectives [n, m], all minimised, and constraints [n, c], met at <= 0.
Price = Callable[[Ints], tuple[Floats, Floats]]


@dataclass(frozen=True, eq=False)
class Found:
    """Every distinct vector that was priced, in the order of pricing.

    Attributes:
        vectors: [n, length].
        objectives: [n, m], minimised.
        feasible: [n].
    """

    vectors: Ints
    objectives: Floats
    feasible: NDArray[np.bool_]

    @property
    def front(self) -> Ints:
        """The rows of the non-dominated feasible vectors, ascending."""
        rows = np.flatnonzero(self.feasible)
        return rows[non_dominated(self.objectives[rows])]


# Called with the generation's number and everything found so far.
OnGeneration = Callable[[int, Found], None]


def random_search(
    genome: Genome, price: Price, first: Ints, num_vectors: int, seed: int, on_generation: OnGeneration
) -> Found:
    """Returns the given vectors and random ones, priced at once: the least a search must beat."""
    drawn = genome.sample(max(0, num_vectors - len(first)), np.random.default_rng(seed))
    vectors = np.unique(np.concatenate([first, drawn]), axis=0)
    objectives, constraints = price(vectors)
    found = Found(vectors, objectives, np.all(constraints <= 0, axis=1))
    on_generation(0, found)
    return found
