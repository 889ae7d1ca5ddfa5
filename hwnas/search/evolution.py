"""Evolution of one objective under limits on another: the finders of the field, for comparison.

Each gives one network for one limit; here a ladder of limits is climbed side by side, and the
front is that of all that was priced.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hwnas.search.inner import Floats, Found, Ints, Ledger, Problem
from hwnas.search.operators import Layout

# A number -> so many vectors.
Draw = Callable[[int], Ints]

# Draws for a candidate within its limit before any other is taken.
_TRIES = 30
# So many steps in a row whose children were all priced before end an aging evolution.
_IDLE = 50


@dataclass(frozen=True, kw_only=True)
class OfaEvolution:
    """The finder of Once-for-All: elitist evolution within a limit, once for each of some limits.

    Attributes:
        limits: so many limits, evenly spaced over the range of the last objective.
        population, parents, mutants, mutation_probability: as published; parents and mutants are
            shares of the population.
        generations: None: as many as the evaluations allow.

    Source: Cai et al. (2020) and the published code: population 100, a quarter of it parents, half
    mutants and half children of uniform crossover, each gene redrawn with probability 0.1.
    """

    limits: int = 10
    population: int = 100
    parents: float = 0.25
    mutants: float = 0.5
    mutation_probability: float = 0.1
    generations: int | None = None

    def search(self, problem: Problem) -> Found:
        """Returns the front of all candidates that were within a limit of theirs."""
        rng, ledger = np.random.default_rng(problem.seed), problem.ledger()
        counts = problem.genome.choice_counts
        ladder = _ladder(problem, self.limits, rng)
        size = max(4, min(self.population, problem.evaluations // (5 * self.limits)))

        def random(n: int) -> Ints:
            # The smallest network keeps a limit alive that no random one meets.
            return np.concatenate([np.zeros((1, len(counts)), np.int64), problem.genome.sample(n, rng)])

        pools = [_priced(problem, ledger, _within(problem, random, size, limit)) for limit in ladder]
        ledger.end_generation()
        done = 0
        while ledger.left and (self.generations is None or done < self.generations):
            before, done = ledger.priced, done + 1
            for at, limit in enumerate(ladder):
                vectors, score = pools[at]
                best = np.argsort(score, kind="stable")[: max(2, int(self.parents * size))]
                vectors, score = vectors[best], score[best]
                if not len(vectors):
                    continue

                def bred(n: int, kept: Ints = vectors) -> Ints:
                    return self._children(kept, n, counts, rng)

                fresh = _priced(problem, ledger, _within(problem, bred, size, limit))
                pools[at] = np.concatenate([vectors, fresh[0]]), np.concatenate([score, fresh[1]])
            ledger.end_generation()
            if ledger.priced == before:
                break
        return ledger.found()

    def _children(self, parents: Ints, n: int, counts: Ints, rng: np.random.Generator) -> Ints:
        one, other = parents[rng.integers(0, len(parents), (2, n))]
        redrawn = np.where(
            rng.random(one.shape) < self.mutation_probability, rng.integers(0, counts, one.shape), one
        )
        crossed = np.where(rng.random(one.shape) < 0.5, one, other)
        drawn: Ints = np.where((np.arange(n) < self.mutants * n)[:, None], redrawn, crossed)
        return drawn


@dataclass(frozen=True, kw_only=True)
class RegularizedEvolution:
    """Aging evolution with a constraint: the oldest dies, whatever it is worth.

    Attributes:
        limits: so many limits, evenly spaced over the range of the last objective.
        population: alive at a time, for each limit.
        sample: drawn from them; the best is mutated in one gene.

    Source: Real et al. (2019), algorithm 1, population 100 and sample 25; candidates beyond the
    limit rank behind all within it.
    """

    limits: int = 10
    population: int = 100
    sample: int = 25

    def search(self, problem: Problem) -> Found:
        """Returns the front of all that was priced."""
        rng, ledger = np.random.default_rng(problem.seed), problem.ledger()
        layout = Layout.of(problem.genome)
        ladder = _ladder(problem, self.limits, rng)
        size = max(4, min(self.population, problem.evaluations // (5 * self.limits)))
        drawn = np.concatenate([problem.first, problem.genome.sample(size * len(ladder), rng)])
        drawn = ledger.fresh(drawn)[: ledger.left]
        objectives, violation = ledger.price(drawn)
        # One population a limit, each a ring whose oldest entry is overwritten: [limits, size].
        rows = rng.integers(0, len(drawn), (len(ladder), size))
        rows[: len(ladder)].flat[: min(rows.size, len(drawn))] = rng.permutation(len(drawn))[: rows.size]
        vectors, figures, broken = drawn[rows], objectives[rows], violation[rows]
        oldest, idle = 0, 0
        while ledger.left and idle < _IDLE:
            picks = rng.integers(0, size, (len(ladder), min(self.sample, size)))
            worth = _worth(figures, broken, ladder)
            best = picks[np.arange(len(ladder)), np.take_along_axis(worth, picks, 1).argmin(axis=1)]
            parents = vectors[np.arange(len(ladder)), best]
            drawn = ledger.fresh(_one_gene(parents, layout.counts, rng))[: ledger.left]
            idle = 0 if len(drawn) else idle + 1
            if not len(drawn):
                continue
            objectives, violation = ledger.price(drawn)
            at = rng.permutation(len(ladder))[: len(drawn)]
            vectors[at, oldest], figures[at, oldest] = drawn, objectives
            broken[at, oldest] = violation
            oldest = (oldest + 1) % size
            ledger.end_generation()
        return ledger.found()


def _ladder(problem: Problem, limits: int, rng: np.random.Generator) -> Floats:
    """Limits on the last objective, evenly over its range among the extremes and random vectors."""
    counts = problem.genome.choice_counts
    ends = problem.genome.canonical(np.stack([np.zeros_like(counts), counts - 1]))
    objectives, _ = problem.price(np.concatenate([ends, problem.genome.sample(200, rng)]))
    cost = objectives[:, -1]
    rungs: Floats = np.linspace(cost.min(), cost.max(), limits + 1)[1:]
    return rungs


def _worth(figures: Floats, broken: Floats, ladder: Floats) -> Floats:
    """The first objective, and behind all of it what breaks a limit, [limits, size]."""
    over = np.maximum(figures[:, :, -1] - ladder[:, None], 0.0) + broken
    behind = np.abs(figures[:, :, 0]).max() * 4 + 1
    found: Floats = np.where(over > 0, behind + over, figures[:, :, 0])
    return found


def _within(problem: Problem, draw: Draw, n: int, limit: float) -> Ints:
    """Returns about n vectors within a limit; those beyond it are not counted, as in the original."""
    kept: list[Ints] = []
    for _ in range(_TRIES):
        vectors = problem.genome.canonical(draw(n))
        objectives, constraints = problem.price(vectors)
        kept.append(vectors[(objectives[:, -1] <= limit) & (constraints <= 0).all(axis=1)])
        if sum(map(len, kept)) >= n:
            break
    return np.concatenate(kept)[:n]


def _priced(problem: Problem, ledger: Ledger, vectors: Ints) -> tuple[Ints, Floats]:
    """The vectors with their first objective; those that another limit has priced count once."""
    fresh = ledger.fresh(vectors)
    if len(fresh):
        ledger.price(fresh[: ledger.left])
    objectives, _ = problem.price(vectors)
    return vectors, objectives[:, 0]


def _one_gene(vectors: Ints, counts: Ints, rng: np.random.Generator) -> Ints:
    moved: Ints = vectors.copy()
    rows = np.arange(len(vectors))
    gene = rng.choice(np.flatnonzero(counts > 1), len(vectors))
    moved[rows, gene] = (moved[rows, gene] + rng.integers(1, counts[gene])) % counts[gene]
    return moved
