import numpy as np

from hwnas.predictors import find_drift, fit_and_score, score
from hwnas.spaces import Space
from tests.predictors.truth import drawn, true_latency_ms


def _slow_spells(n: int) -> np.ndarray:
    factors = np.ones(n)
    for start in range(20, n, 60):
        factors[start : start + 15] = 1.25
    return factors


def test_noise_is_not_taken_for_drift() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        predicted = rng.lognormal(size=200)
        assert find_drift(predicted * np.exp(0.05 * rng.standard_normal(200)), predicted) is None
    assert find_drift(np.ones(10), np.ones(10)) is None


def test_slow_spells_are_found_and_measured() -> None:
    rng = np.random.default_rng(1)
    predicted = rng.lognormal(size=400)
    factors = _slow_spells(400)
    drift = find_drift(predicted * factors * np.exp(0.01 * rng.standard_normal(400)), predicted)
    assert drift is not None
    assert np.median(np.abs(drift.factors / factors - 1)) < 0.01
    assert drift.left_percent < 3 < drift.error_percent


def test_a_sorted_file_has_no_drift() -> None:
    rng = np.random.default_rng(2)
    truth = np.sort(rng.lognormal(size=300))
    # A predictor that is too low for large networks errs alike on neighbours.
    assert find_drift(truth, truth**0.9) is None
    shuffle = rng.permutation(300)
    assert find_drift(truth[shuffle], truth[shuffle] ** 0.9) is None


def test_a_fit_in_order_sees_through_slow_spells(demo: Space) -> None:
    candidates, fresh = drawn(demo, 240, 0), drawn(demo, 300, 1)
    latency = true_latency_ms(candidates, 0) * _slow_spells(240)
    truth = true_latency_ms(fresh, 0)
    errors = {}
    for in_order in (False, True):
        fitted = fit_and_score(demo, candidates, latency, in_order=in_order)
        assert (fitted.drift is not None) == in_order
        errors[in_order] = score(fitted.predictor.predict(fresh), truth).mape_percent or 0.0
        # Intervals still hold for values taken at any time.
        assert 0.85 <= fitted.score.coverage_90 <= 0.95
    assert errors[True] < 0.8 * errors[False]


def test_the_same_values_in_another_order_have_no_drift(demo: Space) -> None:
    candidates = drawn(demo, 120, 2)
    latency = true_latency_ms(candidates, 0) * _slow_spells(120)
    shuffle = np.random.default_rng(0).permutation(120)
    fitted = fit_and_score(demo, candidates[shuffle], latency[shuffle], model="physics", in_order=True)
    assert fitted.drift is None
