"""What every inner search on predictors takes and returns, and the one counter they share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

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
    """What an inner search ends with.

    Attributes:
        vectors: the non-dominated feasible vectors [n, length].
        objectives: theirs, [n, m], minimised.
        priced: distinct vectors priced.
        nearest: [1, length], of all that were priced the one that breaks the limits least.
    """

    vectors: Ints
    objectives: Floats
    priced: int
    nearest: Ints


# Called after each generation with its number and everything found so far.
OnGeneration = Callable[[int, Found], None]


@dataclass(frozen=True, eq=False)
class Problem:
    """What is asked of an inner search.

    Attributes:
        price: of vectors; constraints are in units that make them comparable, such as shares of
            their limits.
        first: vectors [k, length] to begin with, such as what is known already; may be none.
        evaluations: distinct vectors to price at most.
        on_generation: hears of the progress.
    """

    genome: Genome
    price: Price
    first: Ints
    evaluations: int
    seed: int
    on_generation: OnGeneration

    def ledger(self) -> "Ledger":
        """Returns a new counter."""
        return Ledger(self)


class Algorithm(Protocol):
    """A way to search: a value with its knobs, whose state lives in the call alone."""

    def search(self, problem: Problem) -> Found:
        """Returns the front found within the problem's evaluations; the same seed gives the same."""


class Ledger:
    """Counts what is priced, each distinct candidate once, and keeps the front of it."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        length = len(problem.genome.choice_counts)
        # Rows are known by a 64-bit hash: two of a million rows collide with a chance of 3e-8.
        self._factors = np.random.default_rng(0).integers(1, 2**62, length) * 2 + 1
        self._seen: set[int] = set()
        self._generation = 0
        self._vectors = np.zeros((0, length), dtype=np.int64)
        self._objectives: Floats | None = None
        self._nearest = (np.inf, self._vectors)

    @property
    def priced(self) -> int:
        """Distinct vectors priced so far."""
        return len(self._seen)

    @property
    def left(self) -> int:
        """Distinct vectors that may still be priced."""
        return self._problem.evaluations - len(self._seen)

    def fresh(self, vectors: Ints) -> Ints:
        """Returns the canonical forms of vectors, without repeats and what is priced already."""
        vectors = self._problem.genome.canonical(vectors)
        hashes = (vectors * self._factors).sum(axis=1)
        _, first = np.unique(hashes, return_index=True)
        rows = [row for row in np.sort(first).tolist() if int(hashes[row]) not in self._seen]
        return vectors[rows]

    def price(self, vectors: Ints) -> tuple[Floats, Floats]:
        """Prices fresh vectors, at most those that are left.

        Returns:
            Objectives [k, m], and violations [k]: the sum of broken constraints, 0 where all are met.
        """
        assert len(vectors) <= self.left
        objectives, constraints = self._problem.price(vectors)
        violation = np.maximum(constraints, 0.0).sum(axis=1)
        self._seen.update((vectors * self._factors).sum(axis=1).tolist())
        if len(vectors) and violation.min() < self._nearest[0]:
            self._nearest = (float(violation.min()), vectors[[violation.argmin()]].copy())
        kept = violation <= 0
        joined = objectives[kept]
        if self._objectives is not None:
            joined = np.concatenate([self._objectives, joined])
        rows = non_dominated(joined)
        self._vectors = np.concatenate([self._vectors, vectors[kept]])[rows]
        self._objectives = joined[rows]
        return objectives, violation

    def found(self) -> Found:
        """Returns the front so far."""
        assert self._objectives is not None, "something was priced"
        return Found(self._vectors, self._objectives, self.priced, self._nearest[1])

    def end_generation(self) -> None:
        """Tells the listener."""
        self._problem.on_generation(self._generation, self.found())
        self._generation += 1


@dataclass(frozen=True)
class RandomSearch:
    """Random vectors: the least that a search must beat.

    Attributes:
        batch: vectors priced at once.
    """

    batch: int = 4096

    def search(self, problem: Problem) -> Found:
        """Returns the front of the given vectors and of random ones."""
        rng, ledger = np.random.default_rng(problem.seed), problem.ledger()
        fresh, idle = ledger.fresh(problem.first), 0
        # A space may hold fewer vectors than may be priced.
        while ledger.left and idle < 3:
            drawn = fresh if len(fresh) else ledger.fresh(problem.genome.sample(self.batch, rng))
            idle = 0 if len(drawn) else idle + 1
            ledger.price(drawn[: ledger.left])
            ledger.end_generation()
            fresh = drawn[:0]
        return ledger.found()
