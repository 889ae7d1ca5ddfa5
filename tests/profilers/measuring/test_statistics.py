import numpy as np
import pytest
from scipy import stats

from hwnas.profilers.measuring.statistics import summary


def test_the_median_of_odd_and_even_counts() -> None:
    assert summary([1.0, 2.0, 3.0], 100).median_ms == 2
    assert summary([1.0, 2.0, 3.0, 4.0], 100).median_ms == 2.5


def test_one_sample_is_its_own_interval() -> None:
    found = summary([3.0], 6)
    assert (found.median_ms, found.ci_low_ms, found.ci_high_ms, found.p95_ms) == (3, 3, 3, 3)
    assert found.ci_percent == 0


def test_outliers_stay_in_the_tail_and_out_of_the_median() -> None:
    samples = [1.0, 1.01, 0.99, 1.0, 1.02, 0.98, 1.0, 1.0, 9.0, 9.0]
    found = summary(samples, 6)
    assert found.outliers == 2
    assert found.median_ms == 1.0
    assert found.p95_ms == 9.0


def test_equal_samples_have_no_outliers_and_no_width() -> None:
    found = summary([0.5] * 30, 6)
    assert (found.outliers, found.ci_percent, found.tail_ratio) == (0, 0, 1)


def test_fast_samples_are_never_outliers() -> None:
    assert summary([1.0] * 20 + [0.1], 6).outliers == 0


@pytest.mark.parametrize("n", [15, 40, 101])
def test_the_interval_holds_the_true_median_about_95_times_in_100(n: int) -> None:
    rng = np.random.default_rng(n)
    true = np.exp(0.0)
    hits = 0
    for _ in range(1000):
        found = summary(rng.lognormal(0.0, 0.1, n).tolist(), 1e9)
        hits += found.ci_low_ms <= true <= found.ci_high_ms
    assert 930 <= hits <= 995


def test_disturbed_samples_are_in_no_figure_and_listed_with_the_outliers() -> None:
    samples = [1.0, 5.0, 5.0, 1.0, 1.0, 9.0, 1.0]
    found = summary(samples, 6, disturbed=[1, 2])
    assert found.median_ms == 1.0
    assert found.p95_ms == 9.0
    assert found.outliers == 1
    assert found.left_out == (1, 2, 5)


@pytest.mark.parametrize("loads", [3, 6, 10, 12])
def test_the_interval_follows_the_loads_by_students_t(loads: int) -> None:
    samples = np.tile(np.linspace(1.0, 1.2, loads), 20)
    medians = np.linspace(1.0, 1.2, loads)
    half = float(stats.t.ppf(0.975, loads - 1) * stats.sem(medians))
    assert summary(samples, 100, loads=loads).ci_high_ms - 1.1 == pytest.approx(half, rel=0.02)


def test_samples_that_hang_together_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    scattered = 1 + 0.05 * rng.standard_normal(200)
    states = np.repeat([1.0, 1.2], 100) * (1 + 0.005 * rng.standard_normal(200))
    assert summary(scattered, 6).ci_percent < 2
    assert summary(states, 100).ci_percent > 5
    shuffled = summary(rng.permutation(states), 100)
    assert summary(states, 100).median_ms == shuffled.median_ms
