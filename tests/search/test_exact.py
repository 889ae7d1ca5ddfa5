"""The exact front against brute force, and against what the search finds."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.predictors import AdditiveTerms
from hwnas.search.additive import exact_candidates
from hwnas.search.exact import Factor, exact_front
from hwnas.search.genome import Genome
from hwnas.search.inner import Ints, Problem
from hwnas.search.nsga2 import Nsga2
from hwnas.search.pareto import hypervolume, non_dominated_pairs
from hwnas.spaces import Candidates, Space, get_space


@st.composite
def drawn_factors(draw: st.DrawFn) -> tuple[list[Factor], list[int]]:
    """Small tables of small whole numbers: ties and negative entries are the rule; NaN is forbidden."""
    counts = draw(st.lists(st.integers(1, 3), min_size=1, max_size=5))
    factors = []
    for _ in range(draw(st.integers(1, 6))):
        columns = tuple(
            draw(st.lists(st.integers(0, len(counts) - 1), unique=True, max_size=min(3, len(counts))))
        )
        shape = [counts[column] for column in columns]
        size = int(np.prod(shape))
        cost = draw(st.lists(st.sampled_from([-2, -1, 0, 1, 2, 3, None]), min_size=size, max_size=size))
        score = draw(st.lists(st.integers(-3, 3), min_size=size, max_size=size))
        values = np.array([np.nan if one is None else one for one in cost], dtype=float)
        factors.append(Factor(columns, values.reshape(shape), np.array(score, dtype=float).reshape(shape)))
    return factors, counts


def brute_force(factors: list[Factor], counts: list[int]) -> np.ndarray:
    rows = []
    for choice in product(*map(range, counts)):
        at = [tuple(choice[v] for v in factor.variables) for factor in factors]
        rows.append(
            [
                sum(factor.cost[place] for factor, place in zip(factors, at, strict=True)),
                sum(factor.score[place] for factor, place in zip(factors, at, strict=True)),
            ]
        )
    sums = np.array(rows)
    sums = sums[~np.isnan(sums).any(axis=1)]
    return sums[non_dominated_pairs(sums[:, 0], sums[:, 1])] if len(sums) else sums


@settings(deadline=None, max_examples=300)
@given(drawn_factors(), st.booleans())
def test_it_equals_brute_force(drawn: tuple[list[Factor], list[int]], outer: bool) -> None:
    factors, counts = drawn
    expected = brute_force(factors, counts)
    shared = factors[0].variables[0] if outer and factors[0].variables else None
    if not len(expected):
        with pytest.raises(ValueError, match="no combination"):
            exact_front(factors, len(counts), outer=shared)
        return
    found = exact_front(factors, len(counts), outer=shared)
    np.testing.assert_array_equal(np.stack([found.cost, found.score], axis=1), expected)
    for row, choice in enumerate(found.choices.tolist()):
        at = [tuple(choice[v] for v in factor.variables) for factor in factors]
        assert sum(f.cost[p] for f, p in zip(factors, at, strict=True)) == found.cost[row]
        assert sum(f.score[p] for f, p in zip(factors, at, strict=True)) == found.score[row]


def terms(space: Space, seed: int, sign: float = 1.0) -> AdditiveTerms:
    """Random whole numbers for every slot, layer and pair of bits."""
    shape = (len(space.slots), len(space.vocabulary))

    def values(weight_bits: int, activation_bits: int) -> np.ndarray:
        rng = np.random.default_rng([seed, weight_bits, activation_bits])
        return np.concatenate([rng.integers(-4, 30, shape), np.zeros((shape[0], 1))], axis=1).astype(float)

    sizes = np.random.default_rng(seed).integers(0, 9, len(space.image_sizes)).astype(float)
    return AdditiveTerms(space, "latency_ms", sizes, values, lambda sums: np.maximum(sign * sums, 0), True)


@pytest.mark.parametrize("bits", [(32,), (32, 8), ((8, 8), (4, 8), (4, 4))])
def test_no_search_of_the_demo_space_gets_beyond_it(bits: tuple[int, ...]) -> None:
    space = get_space("demo")
    genome = Genome(space, bits)
    cost, score = terms(space, 1), terms(space, 2)
    front = exact_candidates(genome, cost, score)
    np.testing.assert_array_equal(cost.to_metric(cost.sums(front.candidates)), front.cost)
    np.testing.assert_array_equal(score.to_metric(score.sums(front.candidates)), front.score)
    assert (np.diff(front.cost) > 0).all()
    assert (np.diff(front.score) > 0).all()
    assert genome.decode(genome.encode(front.candidates)).ids == front.candidates.ids

    def price(vectors: Ints) -> tuple[np.ndarray, np.ndarray]:
        candidates = genome.decode(vectors)
        objectives = [-score.to_metric(score.sums(candidates)), cost.to_metric(cost.sums(candidates))]
        return np.stack(objectives, axis=1), np.full((len(vectors), 1), -1.0)

    nothing = np.zeros((0, len(genome.choice_counts)), dtype=np.int64)
    found = Nsga2().search(Problem(genome, price, nothing, 3000, 0, lambda *_: None))
    reference = np.array([0.0, 500.0])
    whole = hypervolume(np.stack([-front.score, front.cost], axis=1), reference)
    assert 0.93 * whole < hypervolume(found.objectives, reference) <= whole * (1 + 1e-12)


def test_the_demo_space_in_full_gives_the_same_front() -> None:
    space = get_space("demo")
    counts = space.choice_counts.copy()
    counts[:14] = 1  # kernels and some ratios at their first choice: few enough to list
    listed = np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), axis=-1).reshape(-1, len(counts))
    cost, score = terms(space, 3), terms(space, 4)
    candidates = Candidates.of_genomes(space, listed)
    sums = np.stack([cost.sums(candidates), score.sums(candidates)], axis=1)
    expected = sums[non_dominated_pairs(sums[:, 0], sums[:, 1])]
    factors = [
        Factor(
            columns,
            cost.values(32, 32)[slot][ids][tuple(slice(counts[c]) for c in columns)],
            score.values(32, 32)[slot][ids][tuple(slice(counts[c]) for c in columns)],
        )
        for slot, (columns, ids) in enumerate(zip(space.tables.columns, space.tables.tables, strict=True))
    ]
    factors.append(Factor((len(counts) - 1,), cost.sizes, score.sizes))
    found = exact_front(factors, len(counts), outer=len(counts) - 1)
    np.testing.assert_array_equal(np.stack([found.cost, found.score], axis=1), expected)
