"""How good predictions are: errors, ranks and the honesty of intervals."""

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
        n: how many were compared.
    """

    rmse: float
    mape_percent: float | None
    within_5_percent: float | None
    within_10_percent: float | None
    spearman: float | None
    kendall_tau: float | None
    coverage_90: float
    mean_interval_width: float
    n: int

    def to_json(self) -> dict[str, Any]:
        """Returns the figures by name."""
        return asdict(self)


def score(prediction: Prediction, truth: "Floats | list[float]") -> Score:
    """Returns the figures of a prediction, made with 90 % intervals, against true values [n].

    Raises:
        InputError: nothing to compare, lengths that differ, or true values that are not finite.
    """
    true = np.asarray(truth, dtype=np.float64)
    if true.shape != prediction.mean.shape or not len(true):
        raise InputError(
            f"a score needs as many true values as predictions, at least 1, but got {len(true)} "
            f"and {len(prediction)}"
        )
    if not np.isfinite(true).all():
        raise InputError("true values must be finite, but some are NaN or infinite")
    error = np.abs(prediction.mean - true)
    relative = None if (true == 0).any() else error / np.abs(true)
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
        n=len(true),
    )


def _within(relative: Floats | None, limit: float) -> float | None:
    return None if relative is None else float(100 * np.mean(relative <= limit))


def _rank_correlation(left: Floats, right: Floats, name: str) -> float | None:
    from scipy import stats

    if np.ptp(left) == 0 or np.ptp(right) == 0:
        return None
    return float(getattr(stats, name)(left, right)[0])
