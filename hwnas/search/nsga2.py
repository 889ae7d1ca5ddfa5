"""NSGA-II over choice vectors, in arrays throughout.

pymoo's own loop keeps an object for each individual, which costs 50 to 60 us a candidate, more
than predictors do; this one asks, breeds and selects whole arrays, about 7 us a candidate.
"""

from dataclasses import dataclass, field

import numpy as np

from hwnas.search.genome import Genome
from hwnas.search.inner import Floats, Found, Ints, Ledger, Problem
from hwnas.search.operators import Layout, crossed, mutated
from hwnas.search.pareto import crowding, ranks
from hwnas.search.sample import scaled_architectures

# So many generations without a new vector end a search: the space is exhausted.
IDLE = 20


@dataclass(frozen=True, kw_only=True)
class Breeding:
    """How parents become children.

    Attributes:
        crossover: share of children with two parents; the others have one.
        near: share of second parents that are neighbours of the first along the front: children of
            neighbours stay near the front, those of ends fall behind it.
        mutation: share of crossed children that are mutated too; all others are.
        mutated_genes: how many positions a mutation moves, on average, besides the first.
    """

    crossover: float = 0.95
    near: float = 0.7
    mutation: float = 0.6
    mutated_genes: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Nsga2:
    """NSGA-II whose population and batches grow with what was priced.

    Small at first, so that a hundred candidates are several generations; larger later, so that the
    front is covered and arrays stay long.

    Attributes:
        smallest, largest: parents kept: a tenth of what was priced, within these.
        share: parents kept beyond `largest` where that share of what was priced is more, at most
            `most`: the cost of a candidate does not depend on how many came before.
        batch: children a generation: a tenth of what was priced, within these; past the second, twice
            `share` of what was priced, at most `most`, since longer arrays cost less a candidate.
        seeds: compound-scaled vectors in the first generation.

    Source: Deb et al. (2002), with unbounded duplicate elimination on canonical vectors, mating
    restricted along the front as in Ishibuchi et al. (2008), and a growing population.
    """

    smallest: int = 40
    largest: int = 200
    share: float = 0.01
    most: int = 1000
    batch: tuple[int, int] = (16, 400)
    seeds: int = 20
    breeding: Breeding = field(default_factory=Breeding)

    def search(self, problem: Problem) -> Found:
        """Returns the front found within the problem's evaluations."""
        rng, ledger = np.random.default_rng(problem.seed), problem.ledger()
        layout = Layout.of(problem.genome)
        vectors = first_generation(problem, ledger, self.seeds, self.smallest, rng)
        objectives, violation = ledger.price(vectors)
        ledger.end_generation()
        idle = 0
        while ledger.left and idle < IDLE:
            rank = ranks(objectives, violation)
            tenth, part = ledger.priced // 10, int(self.share * ledger.priced)
            kept = max(self.smallest, min(self.largest, tenth), min(self.most, part))
            apart = crowding(objectives, rank)
            rows = np.lexsort((-apart, rank))[:kept]
            vectors, objectives, violation = vectors[rows], objectives[rows], violation[rows]
            wanted = int(np.clip(tenth, self.batch[0], max(self.batch[1], min(self.most, 2 * part))))
            drawn = children(vectors, objectives, rank[rows], apart[rows], wanted, layout, self.breeding, rng)
            fresh = ledger.fresh(drawn)[: ledger.left]
            idle = 0 if len(fresh) else idle + 1
            if len(fresh):
                figures = ledger.price(fresh)
                vectors = np.concatenate([vectors, fresh])
                objectives = np.concatenate([objectives, figures[0]])
                violation = np.concatenate([violation, figures[1]])
                ledger.end_generation()
        return ledger.found()


def children(
    vectors: Ints,
    objectives: Floats,
    rank: Ints,
    apart: Floats,
    n: int,
    layout: Layout,
    breeding: Breeding,
    rng: np.random.Generator,
) -> Ints:
    """Returns n children of parents chosen by binary tournament on rank, then crowding distance."""
    one = _tournament(rank, apart, n, rng)
    other = np.where(
        rng.random(n) < breeding.near, _neighbours(objectives, one, rng), _tournament(rank, apart, n, rng)
    )
    pairs = rng.random(n) < breeding.crossover
    drawn = np.where(pairs[:, None], crossed(vectors[one], vectors[other], layout, rng), vectors[one])
    moved = ~pairs | (rng.random(n) < breeding.mutation)
    bred: Ints = np.where(moved[:, None], mutated(drawn, layout, breeding.mutated_genes, rng), drawn)
    return bred


def scaled_vectors(genome: Genome, most: int) -> Ints:
    """Returns vectors of the extremes and of compound scaling, at most so many and two.

    Bits take turns: all layers at the first choice, all at the second ..., and the extremes at
    the last as well.
    """
    space, counts = genome.space, genome.choice_counts
    architectures = [space.smallest(), space.largest(), *scaled_architectures(space, max(0, most - 2))]
    genes = space.genomes([*architectures, *architectures[:2]])
    bits = counts[genes.shape[1] :]
    turns = np.arange(len(genes)) % max(1, int(bits.max(initial=1)))
    turns[-2:] = bits.max(initial=1) - 1
    levels = np.minimum(turns[:, None], bits - 1)
    return genome.canonical(np.concatenate([genes, levels], axis=1))


def first_generation(
    problem: Problem, ledger: Ledger, seeds: int, least: int, rng: np.random.Generator
) -> Ints:
    """Returns the problem's own vectors, scaled ones, and random ones up to `least` in all."""
    scaled = scaled_vectors(problem.genome, seeds)
    drawn = problem.genome.sample(least, rng)
    vectors = ledger.fresh(np.concatenate([problem.first, scaled, drawn]))
    return vectors[: min(ledger.left, max(least, len(problem.first) + len(scaled)))]


def _tournament(rank: Ints, apart: Floats, n: int, rng: np.random.Generator) -> Ints:
    one, other = rng.integers(0, len(rank), (2, n))
    wins = (rank[one] < rank[other]) | ((rank[one] == rank[other]) & (apart[one] > apart[other]))
    winners: Ints = np.where(wins, one, other)
    return winners


def _neighbours(objectives: Floats, rows: Ints, rng: np.random.Generator) -> Ints:
    """A row near each row in the order of an objective, the last one or any of more than two."""
    m = objectives.shape[1]
    column = objectives[:, -1] if m <= 2 else objectives[:, rng.integers(m)]
    order = np.argsort(column, kind="stable")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    reach = max(2, len(order) // 10)
    near = place[rows] + rng.integers(-reach, reach + 1, len(rows))
    found: Ints = order[np.clip(near, 0, len(order) - 1)]
    return found
