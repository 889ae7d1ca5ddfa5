import numpy as np
import pytest

from hwnas.predictors.conformal import Calibration


def test_ends_are_order_statistics() -> None:
    low, high = Calibration.of(np.arange(1.0, 100.0)[::-1]).interval(0.9)
    assert (low, high) == pytest.approx((5.0, 95.0))  # rank 95 of 99 leaves 5 % of a hundred above it


def test_tails_are_apart() -> None:
    low, high = Calibration.of(np.concatenate([np.full(90, -0.1), np.full(10, 5.0)])).interval(0.9)
    assert (low, high) == (-0.1, 5.0)


@pytest.mark.parametrize("n", [10, 14, 18, 19, 30, 60])
@pytest.mark.parametrize("freedom", [4.0, 1e6])
def test_intervals_and_bounds_of_few_errors_hold_what_they_say(n: int, freedom: float) -> None:
    from scipy.stats import t

    rng = np.random.default_rng(n)
    ends = np.array([Calibration.of(rng.standard_t(freedom, n)).interval(0.9) for _ in range(1000)])
    below, above = t.cdf(ends[:, 0], freedom), 1 - t.cdf(ends[:, 1], freedom)
    assert 0.88 <= np.mean(1 - below - above) <= 0.92
    assert 0.03 <= np.mean(above) <= 0.07


@pytest.mark.parametrize("n", [1, 5, 18, 19, 60])
def test_each_end_holds_its_share_of_new_values(n: int) -> None:
    rng = np.random.default_rng(n)
    trials = [Calibration.of(rng.standard_normal(n)).interval(0.9) for _ in range(2000)]
    new = rng.standard_normal(2000)
    inside = [low <= value <= high for (low, high), value in zip(trials, new, strict=True)]
    assert np.mean(inside) >= 0.88


def test_few_errors_still_give_finite_ends() -> None:
    low, high = Calibration.of(np.array([0.01, -0.02, 0.0])).interval(0.99)
    assert np.isfinite([low, high]).all()
    assert low < -1 < 1 < high


def test_round_trip() -> None:
    calibration = Calibration.of(np.array([3.0, -1.0]))
    assert Calibration.of_json(calibration.to_json()).interval(0.5) == calibration.interval(0.5)
    for bad in ([], [1.0, "x"], [float("nan")], {}):
        with pytest.raises((TypeError, ValueError)):
            Calibration.of_json(bad)
