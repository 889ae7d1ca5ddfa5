"""How good predictions are: errors, ranks and the honesty of intervals."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import InputError
from hwnas.predictors.features import Floats
from hwnas.predictors.prediction import Prediction


@dataclass(frozen=True)
class Score:
    """Figures of predictions against the truth; None where a figure is not defined.

    Attributes:
        rmse: root mean squared error, in the metric's unit.
        mape_percent: mean absolute error over the truth; None where a true value is 0.
        within_5_percent, within_10_percent: percent of predictions so near to the truth.
        spearman, kendall_tau: rank correlations from -1 to 1 (tau-b); None where either side is
            constant.
        coverage_90: share, from 0 to 1, of true values inside the interval.
        mean_interval_width: in the metric's unit.
        n_at_5, n_at_10: N@K: the true rank, 1 for the best of all, of the best among the K that were
            predicted to be best.
        p_at_5_percent, p_at_10_percent: P@K: share, from 0 to 1, of the truly best K percent that
            are among the K percent predicted to be best.
        n: how many were compared.

    Source: N@K and P@top-K as in Ning et al., GATES (2020), section 4.1. Ties share the worst rank
    among them, so that constant predictions gain nothing.
    """

    rmse: float
    mape_percent: float | None
    within_5_percent: float | None
    within_10_percent: float | None
    spearman: float | None
    kendall_tau: float | None
    coverage_90: float
    mean_interval_width: float
    n_at_5: int
    n_at_10: int
    p_at_5_percent: float
    p_at_10_percent: float
    n: int

    def to_json(self) -> dict[str, Any]:
        """Returns the figures by name."""
        return asdict(self)


def larger_is_better(metric: str) -> bool:
    """Returns whether a metric of this name is a quality, such as `accuracy_top1`, rather than a cost."""
    return metric.startswith("accuracy")


def score(prediction: Prediction, truth: "Floats | list[float]", *, metric: str = "latency_ms") -> Score:
    """Returns the figures of a prediction, made with 90 % intervals, against true values [n].

    Args:
        prediction: of n candidates.
        truth: [n].
        metric: its name, which says whether the best are the largest or the smallest.

    Raises:
        InputError: nothing to compare, lengths that differ, true values that are not finite, or
            figures that no score can be made of.
    """
    true = np.asarray(truth, dtype=np.float64)
    if true.shape != prediction.mean.shape or not len(true):
        raise InputError(
            f"a score needs as many true values as predictions, at least 1, but got {len(true)} "
            f"and {len(prediction)}"
        )
    if not np.isfinite(true).all():
        raise InputError("true values must be finite, but some are NaN or infinite")
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        found = _scored(prediction, true, metric)
    if not all(figure is None or math.isfinite(figure) for figure in found.to_json().values()):
        raise InputError(
            "predictions and true values lie too far apart, or too near to zero, to be scored; are both in "
            f"the unit of {metric}?"
        )
    return found


def _scored(prediction: Prediction, true: Floats, metric: str) -> Score:
    error = np.abs(prediction.mean - true)
    relative = None if (true == 0).any() else error / np.abs(true)
    sign = -1.0 if larger_is_better(metric) else 1.0
    ranks = _Ranks(sign * prediction.mean, sign * true)
    inside: NDArray[np.bool_] = (prediction.low <= true) & (true <= prediction.high)
    return Score(
        rmse=float(np.sqrt(np.mean(np.square(error)))),
        mape_percent=None if relative is None else float(100 * relative.mean()),
        within_5_percent=_within(relative, 0.05),
        within_10_percent=_within(relative, 0.10),
        spearman=_rank_correlation(prediction.mean, true, "spearmanr"),
        kendall_tau=_rank_correlation(prediction.mean, true, "kendalltau"),
        coverage_90=float(inside.mean()),
        mean_interval_width=float(np.mean(prediction.high - prediction.low)),
        n_at_5=ranks.best_of(5),
        n_at_10=ranks.best_of(10),
        p_at_5_percent=ranks.shared(0.05),
        p_at_10_percent=ranks.shared(0.10),
        n=len(true),
    )


class _Ranks:
    """Predicted and true costs [n], in the order of what was predicted, ties at their worst."""

    def __init__(self, predicted: Floats, true: Floats) -> None:
        from scipy.stats import rankdata

        order = np.lexsort((-true, predicted))
        self.true = rankdata(true, method="max")[order].astype(int)

    def best_of(self, k: int) -> int:
        return int(self.true[:k].min())

    def shared(self, part: float) -> float:
        k = max(1, round(part * len(self.true)))
        return float(np.mean(self.true[:k] <= k))


def _within(relative: Floats | None, limit: float) -> float | None:
    return None if relative is None else float(100 * np.mean(relative <= limit))


def _rank_correlation(left: Floats, right: Floats, name: str) -> float | None:
    from scipy import stats

    if np.ptp(left) == 0 or np.ptp(right) == 0:
        return None
    return float(getattr(stats, name)(left, right)[0])
