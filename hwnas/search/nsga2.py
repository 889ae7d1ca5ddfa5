"""NSGA-II over integer genomes, through pymoo's ask and tell, vectorised over candidates."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.evaluator import Evaluator
from pymoo.core.mutation import Mutation
from pymoo.core.problem import Problem
from pymoo.core.repair import Repair
from pymoo.core.termination import NoTermination
from pymoo.operators.crossover.ux import UX
from pymoo.problems.static import StaticProblem

from hwnas.search.genome import Genome
from hwnas.search.inner import Floats, Found, Ints, OnGeneration, Price


@dataclass(frozen=True, kw_only=True)
class Nsga2Settings:
    """Knobs of NSGA-II.

    Attributes:
        population: vectors a generation.
        generations: generations after the first population.
        mutated_genes: how many positions of a child are redrawn, on average.
        crossover_probability: chance that a pair of parents is crossed at all.
    """

    population: int = 100
    generations: int = 40
    mutated_genes: float = 1.5
    crossover_probability: float = 0.9


def nsga2(
    genome: Genome,
    price: Price,
    first: Ints,
    settings: Nsga2Settings,
    seed: int,
    on_generation: OnGeneration,
) -> Found:
    """Returns all that NSGA-II priced, its first population seeded with vectors.

    Source: Deb et al. (2002); uniform crossover and reset mutation, duplicates eliminated on
    canonical vectors.

    Args:
        first: [k, length] vectors to start from; random ones fill the population up.
    """
    counts = genome.choice_counts
    fill = genome.sample(max(0, settings.population - len(first)), np.random.default_rng(seed))
    population = genome.canonical(np.concatenate([first, fill]))
    algorithm = NSGA2(
        pop_size=settings.population,
        sampling=np.unique(population, axis=0),
        crossover=UX(prob=settings.crossover_probability),
        mutation=_ResetMutation(counts, settings.mutated_genes / len(counts)),
        repair=_Canonical(genome),
        eliminate_duplicates=True,
    )
    problem = Problem(n_var=len(counts), n_obj=2, n_ieq_constr=1, xl=0, xu=counts - 1, vtype=int)
    algorithm.setup(problem, termination=NoTermination(), seed=seed, verbose=False)
    seen: set[bytes] = set()
    parts: list[tuple[Ints, Floats, NDArray[np.bool_]]] = []
    found = None
    for generation in range(settings.generations + 1):
        asked = algorithm.ask()
        vectors = asked.get("X").astype(np.int64)
        objectives, constraints = price(vectors)
        Evaluator().eval(StaticProblem(problem, F=objectives, G=constraints), asked)
        algorithm.tell(infills=asked)
        fresh = [i for i, row in enumerate(vectors) if row.tobytes() not in seen]
        seen.update(row.tobytes() for row in vectors)
        parts.append((vectors[fresh], objectives[fresh], np.all(constraints[fresh] <= 0, axis=1)))
        found = Found(*(np.concatenate(column) for column in zip(*parts, strict=True)))
        on_generation(generation, found)
    assert found is not None
    return found


class _Canonical(Repair):  # type: ignore[misc]
    """Writes canonical vectors back, so that duplicates are seen as such."""

    def __init__(self, genome: Genome) -> None:
        super().__init__()
        self.genome = genome

    def _do(self, problem: Any, X: Any, **_: Any) -> Any:
        return self.genome.canonical(X.astype(np.int64))


class _ResetMutation(Mutation):  # type: ignore[misc]
    """Redraws each position with a fixed probability, never to the value it has."""

    def __init__(self, choice_counts: Ints, probability: float) -> None:
        super().__init__(prob=1.0)
        self.choice_counts = choice_counts
        self.probability = probability

    def _do(self, problem: Any, X: Any, random_state: Any = None, **_: Any) -> Any:
        vectors = X.astype(np.int64)
        shift = random_state.integers(1, np.maximum(self.choice_counts, 2), size=vectors.shape)
        redraw = (random_state.random(vectors.shape) < self.probability) & (self.choice_counts > 1)
        return np.where(redraw, (vectors + shift) % self.choice_counts, vectors)
