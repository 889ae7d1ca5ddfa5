"""Intervals that hold what they say: quantiles of held-out errors, in units of predicted deviation."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from hwnas.predictors.features import Floats

# Fewer errors than this are taken for normal ones.
_FEW = 10


@dataclass(frozen=True, eq=False)
class Calibration:
    """How far held-out values lay from their predictions.

    Each tail has its own quantile, so the upper end of a 90 % interval is a 95 % bound by itself.

    Attributes:
        deviations: float64 [n], ascending: signed errors over the predicted standard deviation.

    Source: cross-validation residuals as in Barber et al., Predictive inference with the
    jackknife+ (2021), section 2.2, with normalised and signed scores; we keep one model fitted to all
    data where CV+ keeps one a fold.
    """

    deviations: Floats

    @staticmethod
    def of(deviations: Floats) -> "Calibration":
        """Returns the calibration of held-out deviations [n], in any order; n is at least 1."""
        return Calibration(np.sort(deviations))

    def interval(self, coverage: float) -> tuple[float, float]:
        """Returns the low and high end, in deviations from the mean, that hold `coverage` of values."""
        tail = (1 - coverage) / 2
        return self.bound(tail), self.bound(1 - tail)

    def bound(self, probability: float) -> float:
        """Returns how far above the mean, in deviations, values stay below with this probability."""
        if probability < 0.5:
            return -_upper(-self.deviations[::-1], probability)
        return _upper(self.deviations, 1 - probability)

    def to_json(self) -> list[float]:
        """Returns the deviations."""
        return [float(value) for value in self.deviations]

    @staticmethod
    def of_json(values: Any) -> "Calibration":
        """Returns what `to_json` gave; TypeError or ValueError if malformed."""
        deviations = np.array(values, dtype=np.float64)
        if deviations.ndim != 1 or not len(deviations) or not np.isfinite(deviations).all():
            raise ValueError("calibration must be a list of finite numbers, at least one")
        return Calibration.of(deviations)


def _upper(ascending: Floats, tail: float) -> float:
    """Returns the bound that a new deviation exceeds with probability `tail`, on average over fits."""
    n, normal = len(ascending), NormalDist()
    # The k-th of n is exceeded with probability 1 - k / (n + 1); between two of them, tails fall as
    # an exponential does.
    rank = (n + 1) * (1 - tail) + 1e-9
    below = min(int(rank), n)
    if below < n:
        tails = 1 - below / (n + 1), 1 - (below + 1) / (n + 1)
        part = max(0.0, math.log(tails[0] / tail) / math.log(tails[0] / tails[1]))
        return float((1 - part) * ascending[below - 1] + part * ascending[below])
    if rank < n + 1e-6:
        return float(ascending[-1])
    # Too few errors were seen for this tail: the largest is stretched as a normal one would be, and
    # all of them together say how far normal errors of their size would reach.
    from scipy.stats import t

    stretched = float(ascending[-1]) * normal.inv_cdf(1 - tail) / normal.inv_cdf(1 - 1 / (n + 2))
    spread = float(np.sqrt(np.mean(np.square(ascending))) * t.ppf(1 - tail, n))
    if n >= _FEW:
        # The largest of so few is a matter of luck; the more there are, the more it says of a tail.
        share = n / (n + _FEW)
        return share * stretched + (1 - share) * spread
    # A handful does not show both ends, and lies no nearer than the predicted deviation says.
    return max(stretched, spread, normal.inv_cdf(1 - tail))
