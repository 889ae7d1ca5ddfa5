import numpy as np
import pytest

from hwnas.errors import InputError
from hwnas.predictors import Prediction, score


def _prediction(mean: list[float], width: float = 0.0) -> Prediction:
    values = np.array(mean)
    return Prediction(values, values - width, values + width)


def test_figures_equal_those_computed_by_hand() -> None:
    # Relative errors 4 %, 8 %, 0 %, 25 %; one of six pairs is in the wrong order.
    got = score(_prediction([1.04, 1.84, 4.0, 3.75], width=0.5), [1.0, 2.0, 4.0, 5.0])
    assert got.rmse == pytest.approx(np.sqrt((0.04**2 + 0.16**2 + 1.25**2) / 4))
    assert got.mape_percent == pytest.approx((4 + 8 + 0 + 25) / 4)
    assert (got.within_5_percent, got.within_10_percent) == (50.0, 75.0)
    assert got.kendall_tau == pytest.approx((5 - 1) / 6)
    assert got.spearman == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert (got.coverage_90, got.mean_interval_width, got.n) == (0.75, 1.0, 4)


def test_json_has_the_names_of_the_contract() -> None:
    names = set(score(_prediction([1.0, 2.0]), [1.0, 2.0]).to_json())
    assert names >= {
        "mape_percent",
        "rmse",
        "within_5_percent",
        "within_10_percent",
        "spearman",
        "kendall_tau",
        "coverage_90",
        "n",
    }


def test_figures_that_are_not_defined_are_none() -> None:
    constant = score(_prediction([1.0, 1.0]), [1.0, 2.0])
    assert constant.spearman is None
    assert constant.kendall_tau is None
    zero = score(_prediction([1.0, 2.0]), [0.0, 2.0])
    assert zero.mape_percent is zero.within_5_percent is zero.within_10_percent is None
    assert score(_prediction([1.0]), [1.0]).n == 1


@pytest.mark.parametrize("truth", [[], [1.0], [1.0, float("nan")], [1.0, float("inf")]])
def test_truth_that_cannot_be_compared_is_refused(truth: list[float]) -> None:
    with pytest.raises(InputError):
        score(_prediction([1.0, 2.0]), truth)


def test_the_best_found_are_counted_as_in_gates() -> None:
    truth = np.arange(1.0, 101.0)
    guess = truth.copy()
    # The five predicted to be fastest are truly the 11th to 15th.
    guess[10:15] = 0.1 * np.arange(1, 6)
    got = score(_prediction(guess.tolist()), truth.tolist())
    assert (got.n_at_5, got.n_at_10) == (11, 1)
    assert got.p_at_5_percent == 0.0
    assert got.p_at_10_percent == 0.5


def test_the_best_accuracies_are_the_largest() -> None:
    truth = np.arange(1.0, 101.0)
    got = score(_prediction(truth.tolist()), truth.tolist(), metric="accuracy_top1")
    assert (got.n_at_5, got.p_at_5_percent) == (1, 1.0)
    opposite = score(_prediction((-truth).tolist()), truth.tolist(), metric="accuracy_top1")
    assert (opposite.n_at_5, opposite.p_at_5_percent) == (96, 0.0)


def test_constant_predictions_find_nothing() -> None:
    got = score(_prediction([1.0] * 50), np.arange(1.0, 51.0).tolist())
    assert got.n_at_5 == 46
    assert got.p_at_10_percent == 0.0
