"""The exact front of two additive objectives, by dynamic programming with dominance pruning.

Where cost and score are sums over places of a chain, and each place depends on few choices, the
true Pareto front of a space of 10^19 networks (10^43 with bits) is computable: places are folded
in one after the other, and of all partial chains with the same unfinished choices only the
mutually non-dominated ones can begin a front member.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwnas.search.pareto import non_dominated_pairs

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Factor:
    """What one place adds, by the choices it depends on.

    Attributes:
        variables: numbers of the choices, one for each axis of the tables.
        cost: float64, minimised; NaN where the combination is not allowed.
        score: float64, maximised; same shape.
    """

    variables: tuple[int, ...]
    cost: Floats
    score: Floats


@dataclass(frozen=True, eq=False)
class ExactFront:
    """Every non-dominated pair of sums, each with one assignment that reaches it.

    Attributes:
        choices: int64 [n, variables]; 0 for variables that no factor has.
        cost: [n], strictly ascending.
        score: [n], strictly ascending.
    """

    choices: Ints
    cost: Floats
    score: Floats


def exact_front(
    factors: Sequence[Factor],
    num_variables: int,
    *,
    outer: int | None = None,
) -> ExactFront:
    """Returns the exact front of the sums of factors.

    Equal pairs count once; the assignment kept is the first in the order of choices, so genes
    that change nothing are at their first choice.

    Args:
        factors: in an order in which variables stay open for short: the order of the chain.
        num_variables: numbers in `Factor.variables` are below it.
        outer: a variable that nearly all factors share, such as the image size: its choices are
            solved one by one and their fronts merged, which takes less memory and no more time.

    Raises:
        ValueError: no combination is allowed.

    Source: the scheme of multiobjective dynamic programming (Villarreal and Karwan, 1981) with
    variable elimination over the chain (Rollon and Larrosa, 2006).
    """
    counts = _counts(factors, num_variables)
    values = range(counts[outer]) if outer is not None else [None]
    parts = []
    for value in values:
        chosen = [_sliced(factor, outer, value) for factor in factors]
        part = _Fold(chosen, num_variables).front()
        if outer is not None and value is not None:
            part.choices[:, outer] = value
        parts.append(part)
    cost = np.concatenate([part.cost for part in parts])
    score = np.concatenate([part.score for part in parts])
    if not len(cost):
        raise ValueError("no combination is allowed")
    rows = non_dominated_pairs(cost, score)
    choices = np.concatenate([part.choices for part in parts])
    return ExactFront(choices[rows], cost[rows], score[rows])


class _Points(NamedTuple):
    """The partial chains of one state, by ascending cost; `parent` and `combo` lead back."""

    cost: Floats
    score: Floats
    parent: Ints
    combo: Ints


class _Step(NamedTuple):
    """One folded factor: for all states in turn, rows of the step before and of `values`."""

    parent: Ints
    combo: Ints
    new: tuple[int, ...]
    values: Ints


_State = tuple[int, ...]


class _Fold:
    """One run over the factors; states are the assignments of variables that are still open."""

    def __init__(self, factors: Sequence[Factor], num_variables: int) -> None:
        self.factors = factors
        self.num_variables = num_variables

    def front(self) -> ExactFront:
        steps: list[_Step] = []
        open_now: tuple[int, ...] = ()
        states: dict[_State, _Points] = {(): _Points(np.zeros(1), np.zeros(1), *np.zeros((2, 1), np.int64))}
        for number, factor in enumerate(self.factors):
            later = {v for other in self.factors[number + 1 :] for v in other.variables}
            states, step, open_now = self._folded(states, factor, open_now, later)
            steps.append(step)
        points = states.get((), None)
        if points is None:
            return ExactFront(np.zeros((0, self.num_variables), np.int64), np.zeros(0), np.zeros(0))
        return ExactFront(self._choices(steps, len(points.cost)), points.cost, points.score)

    def _folded(
        self,
        states: dict[_State, _Points],
        factor: Factor,
        open_now: tuple[int, ...],
        later: set[int],
    ) -> tuple[dict[_State, _Points], _Step, tuple[int, ...]]:
        new = tuple(v for v in factor.variables if v not in open_now)
        shape = [factor.cost.shape[factor.variables.index(v)] for v in new]
        values = np.array(list(product(*map(range, shape))), dtype=np.int64)
        kept_open = tuple(v for v in (*open_now, *new) if v in later)
        joined: dict[_State, list[_Points]] = {}
        offset = 0
        for state, points in states.items():
            known = dict(zip(open_now, state, strict=True))
            cost, score = (_reduced(table, factor.variables, known) for table in (factor.cost, factor.score))
            for key, combos in self._by_state(values, new, known, kept_open):
                allowed = combos[~np.isnan(cost[combos])]
                if not len(allowed):
                    continue
                best = allowed[non_dominated_pairs(cost[allowed], score[allowed])]
                joined.setdefault(key, []).append(_sums(points, cost, score, best, offset))
            offset += len(points.cost)
        folded = {key: _pruned(parts) for key, parts in joined.items()}
        every = list(folded.values())
        empty = np.zeros(0, np.int64)
        step = _Step(
            np.concatenate([p.parent for p in every]) if every else empty,
            np.concatenate([p.combo for p in every]) if every else empty,
            new,
            values,
        )
        return folded, step, kept_open

    @staticmethod
    def _by_state(
        values: Ints, new: tuple[int, ...], known: dict[int, int], kept_open: tuple[int, ...]
    ) -> Iterator[tuple[_State, Ints]]:
        """Yields the rows of `values` that lead to each next state."""
        kept = [new.index(v) for v in kept_open if v in new]
        rows = np.arange(len(values))
        groups: dict[_State, list[int]] = {}
        for row, part in zip(rows.tolist(), map(tuple, values[:, kept].tolist()), strict=True):
            groups.setdefault(part, []).append(row)
        for part, members in groups.items():
            found = dict(zip([new[at] for at in kept], part, strict=True))
            yield tuple(known[v] if v in known else found[v] for v in kept_open), np.array(members)

    def _choices(self, steps: list[_Step], n: int) -> Ints:
        """Walks every member back to its assignment."""
        choices = np.zeros((n, self.num_variables), dtype=np.int64)
        rows = np.arange(n)
        for step in reversed(steps):
            choices[:, list(step.new)] = step.values[step.combo[rows]]
            rows = step.parent[rows]
        return choices


def _pruned(parts: Sequence[_Points]) -> _Points:
    """The points of all parts that no other dominates."""
    cost, score, parent, combo = map(np.concatenate, zip(*parts, strict=True))
    rows = non_dominated_pairs(cost, score)
    return _Points(cost[rows], score[rows], parent[rows], combo[rows])


def _sums(points: _Points, cost: Floats, score: Floats, combos: Ints, offset: int) -> _Points:
    """All pairs of points and combinations, each combination a run of ascending cost."""
    n = len(points.cost)
    return _Points(
        (cost[combos][:, None] + points.cost).ravel(),
        (score[combos][:, None] + points.score).ravel(),
        np.tile(np.arange(offset, offset + n), len(combos)),
        np.repeat(combos, n),
    )


def _reduced(table: Floats, variables: Sequence[int], known: dict[int, int]) -> Floats:
    """The table at the known variables, flat over the others in their order."""
    flat: Floats = table[tuple(known.get(v, slice(None)) for v in variables)].ravel()
    return flat


def _sliced(factor: Factor, variable: int | None, value: int | None) -> Factor:
    if variable is None or value is None or variable not in factor.variables:
        return factor
    axis = factor.variables.index(variable)
    variables = factor.variables[:axis] + factor.variables[axis + 1 :]
    return Factor(
        variables, np.asarray(factor.cost.take(value, axis)), np.asarray(factor.score.take(value, axis))
    )


def _counts(factors: Sequence[Factor], num_variables: int) -> list[int]:
    counts = [1] * num_variables
    for factor in factors:
        assert factor.cost.shape == factor.score.shape
        assert factor.cost.ndim == len(factor.variables)
        for variable, count in zip(factor.variables, factor.cost.shape, strict=True):
            assert counts[variable] in (1, count), "a variable has one number of choices"
            counts[variable] = count
    return counts
