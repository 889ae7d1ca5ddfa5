"""Non-dominated sets, hypervolume and spreading, by hand and by definition."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hwnas.search.pareto import gainful_subset, hypervolume, non_dominated, spread_subset

points = arrays(np.float64, st.tuples(st.integers(0, 30), st.just(2)), elements=st.integers(0, 8).map(float))


@given(points)
def test_front_members_are_mutually_non_dominated_and_dominate_the_rest(objectives: np.ndarray) -> None:
    front = non_dominated(objectives)

    def dominates(a: np.ndarray, b: np.ndarray) -> bool:
        return bool((a <= b).all() and (a < b).any())

    for i in front:
        assert not any(dominates(objectives[j], objectives[i]) for j in range(len(objectives)))
    for i in set(range(len(objectives))) - set(front.tolist()):
        assert any((objectives[j] <= objectives[i]).all() for j in front)
    assert len(np.unique(objectives[front], axis=0)) == len(front)


def test_rows_that_are_not_known_are_no_members() -> None:
    assert non_dominated(np.array([[1.0, np.nan], [2.0, 2.0], [np.nan, 0.0]])).tolist() == [1]


def test_hypervolume_of_a_staircase() -> None:
    objectives = np.array([[-80.0, 1.0], [-90.0, 3.0]])
    # 70 x (4 - 1) below the first, 10 more x (4 - 3) below the second.
    assert hypervolume(objectives, np.array([-10.0, 4.0])) == pytest.approx(70 * 3 + 10 * 1)


def test_points_outside_the_reference_add_nothing() -> None:
    assert hypervolume(np.array([[-5.0, 1.0], [-50.0, 9.0]]), np.array([-10.0, 4.0])) == 0.0
    assert hypervolume(np.zeros((0, 2)), np.array([0.0, 0.0])) == 0.0


@given(points, st.integers(1, 10))
@example(np.zeros((3, 2)), 2)
def test_a_spread_subset_keeps_the_extremes(objectives: np.ndarray, n: int) -> None:
    chosen = spread_subset(objectives, n)
    assert len(chosen) == len(set(chosen.tolist())) == min(n, len(objectives))
    if n >= 2 and len(objectives):
        assert objectives[chosen].min(axis=0).tolist() == objectives.min(axis=0).tolist()


@given(points, points, st.integers(0, 12))
def test_a_gainful_subset_takes_what_adds_most_each_time(
    objectives: np.ndarray, known: np.ndarray, n: int
) -> None:
    reference = np.array([7.0, 7.0])
    chosen = gainful_subset(objectives, known, reference, n)
    assert len(chosen) == len(set(chosen.tolist())) == min(n, len(objectives))
    front = known
    for row in chosen:
        grown = [
            hypervolume(np.concatenate([front, objectives[[r]]]), reference) for r in range(len(objectives))
        ]
        front = np.concatenate([front, objectives[[row]]])
        if max(grown) == hypervolume(front[:-1], reference):
            break  # nothing adds anything: the rest is spread
        assert hypervolume(front, reference) == max(grown)


def test_a_gainful_subset_prefers_what_is_not_dominated_yet() -> None:
    known = np.array([[-80.0, 1.0], [-90.0, 3.0]])
    # Adds 5 x 1; adds 4 x 2; is dominated; adds 2 x 1 beyond the last.
    objectives = np.array([[-85.0, 2.0], [-84.0, 1.0], [-79.0, 1.5], [-92.0, 3.0]])
    assert gainful_subset(objectives, known, np.array([-10.0, 4.0]), 2).tolist() == [1, 3]


def test_a_gainful_subset_without_anything_known_begins_with_the_largest_volume() -> None:
    objectives = np.array([[-50.0, 1.0], [-90.0, 3.0]])
    assert gainful_subset(objectives, np.zeros((0, 2)), np.array([-10.0, 4.0]), 1).tolist() == [0]
