"""Every inner search: repeatable, within its evaluations, canonical, and better than chance."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.search.evolution import OfaEvolution, RegularizedEvolution
from hwnas.search.genome import Genome
from hwnas.search.inner import Algorithm, Found, Ints, Problem, RandomSearch
from hwnas.search.nsga2 import Nsga2, scaled_vectors
from hwnas.search.nsga3 import Nsga3
from hwnas.search.operators import Layout, crossed, mutated
from hwnas.search.pareto import hypervolume, non_dominated
from hwnas.spaces import get_space

SPACE = get_space("demo")
GENOME = Genome(SPACE, (32, 8))
ALGORITHMS = [Nsga2(), Nsga3(), OfaEvolution(), RegularizedEvolution(), RandomSearch()]
LIMIT = 4e9


def price(vectors: Ints) -> tuple[np.ndarray, np.ndarray]:
    costs = GENOME.decode(vectors).costs()
    objectives = np.stack([-costs.params.astype(float), costs.bitops.astype(float)], axis=1)
    return objectives, (costs.bitops[:, None] / LIMIT - 1).astype(float)


def problem(evaluations: int = 600, seed: int = 5) -> Problem:
    first = GENOME.sample(3, np.random.default_rng(1))
    return Problem(GENOME, price, first, evaluations, seed, lambda *_: None)


def volume(found: Found) -> float:
    return hypervolume(found.objectives, np.array([0.0, LIMIT]))


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda one: type(one).__name__)
def test_every_search_keeps_the_contract(algorithm: Algorithm) -> None:
    heard: list[tuple[int, int]] = []
    asked = replace(problem(), on_generation=lambda number, found: heard.append((number, found.priced)))
    found, again = algorithm.search(asked), algorithm.search(problem())
    np.testing.assert_array_equal(found.vectors, again.vectors)
    assert 300 < found.priced <= 600
    assert [number for number, _ in heard] == list(range(len(heard)))
    assert [priced for _, priced in heard] == sorted({priced for _, priced in heard})
    np.testing.assert_array_equal(GENOME.canonical(found.vectors), found.vectors)
    objectives, constraints = price(found.vectors)
    np.testing.assert_array_equal(objectives, found.objectives)
    assert (constraints <= 0).all()
    assert len(non_dominated(objectives)) == len(objectives) > 5


def test_nsga2_is_ahead_of_every_other_at_equal_cost() -> None:
    ours = np.mean([volume(Nsga2().search(problem(seed=seed))) for seed in range(3)])
    for other in ALGORITHMS[2:]:
        theirs = np.mean([volume(other.search(problem(seed=seed))) for seed in range(3)])
        assert ours > 1.005 * theirs


def test_what_is_known_already_is_built_upon() -> None:
    best = Nsga2().search(problem(3000))
    seeded = Nsga2().search(replace(problem(200), first=best.vectors[:150]))
    assert volume(seeded) > volume(Nsga2().search(problem(200)))


def test_nothing_is_priced_twice() -> None:
    seen: list[bytes] = []

    def once(vectors: Ints) -> tuple[np.ndarray, np.ndarray]:
        seen.extend(row.tobytes() for row in vectors)
        return price(vectors)

    Nsga2().search(replace(problem(), price=once))
    assert len(seen) == len(set(seen))


def test_the_nearest_is_told_where_nothing_is_feasible() -> None:
    def hopeless(vectors: Ints) -> tuple[np.ndarray, np.ndarray]:
        objectives, _ = price(vectors)
        return objectives, objectives[:, 1:] / 1.0 - 0.5

    found = Nsga2().search(replace(problem(), price=hopeless))
    assert not len(found.vectors)
    smallest = GENOME.decode(found.nearest)
    assert smallest.costs().bitops[0] <= 1.05 * GENOME.decode(scaled_vectors(GENOME, 2)).costs().bitops.min()


def test_three_objectives_give_a_front_of_three() -> None:
    def three(vectors: Ints) -> tuple[np.ndarray, np.ndarray]:
        costs = GENOME.decode(vectors).costs()
        columns = [-costs.params, costs.bitops, costs.peak_memory_bytes]
        return np.stack(columns, axis=1).astype(float), np.full((len(vectors), 1), -1.0)

    for algorithm in (Nsga2(), Nsga3()):
        found = algorithm.search(replace(problem(400), price=three))
        assert found.objectives.shape[1] == 3
        assert len(non_dominated(found.objectives)) == len(found.objectives) > 10


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1))
def test_children_take_after_their_parents_and_mutants_move(seed: int) -> None:
    rng = np.random.default_rng(seed)
    layout = Layout.of(GENOME)
    one, other = GENOME.sample(20, rng), GENOME.sample(20, rng)
    child = crossed(one, other, layout, rng)
    assert ((child == one) | (child == other)).all()
    mutant = mutated(one, layout, 0.5, rng)
    assert (mutant >= 0).all()
    assert (mutant < layout.counts).all()
    assert (mutant != one).any(axis=1).mean() > 0.6


def test_a_layout_knows_stages_and_kinds() -> None:
    layout = Layout.of(GENOME)
    names = [gene.name for gene in SPACE.genes]
    ks0, ks1, e0 = names.index("ks[0]"), names.index("ks[1]"), names.index("e[0]")
    assert layout.part[ks0] == layout.part[ks1] == layout.part[e0] == layout.part[names.index("d[0]")]
    assert layout.kind[ks0] == layout.kind[ks1] != layout.kind[e0]
    assert layout.part[names.index("r")] not in layout.part[: len(names) - 1]
    bits = layout.kind[len(names) :]
    assert len(bits)
    assert not set(bits.tolist()) & set(layout.kind[: len(names)].tolist())
    assert set(layout.part[len(names) :].tolist()) & {int(layout.part[ks0])}
