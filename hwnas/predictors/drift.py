"""Drift: what the time of measuring did to values, found from errors in the order they were taken.

A machine that slows down for a while makes all networks slow that are measured then. Errors of
neighbours in time are then alike, which nothing about the networks explains.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from hwnas.predictors.features import Floats

# Neighbours on either side that may tell the drift; the best number is found.
_REACHES = (1, 2, 4, 8, 16, 32, 64)
# Drift has to explain so much of the mean error to be believed: chance does not.
_CLEARLY, _FEWEST = 0.9, 40
# Neighbours whose predictions correlate more than this are not in a random order.
_ALIKE = 0.15


@dataclass(frozen=True, eq=False)
class Drift:
    """A drift that was found.

    Attributes:
        factors: float64 [n], what each value was multiplied with, 1 when the machine was itself.
        reach: so many neighbours on either side tell it.
        error_percent: mean error with the drift in it.
        left_percent: mean error that the drift does not explain: a noise floor, or nearly.
    """

    factors: Floats
    reach: int
    error_percent: float
    left_percent: float

    def to_json(self) -> dict[str, Any]:
        """Returns the figures, without the factors."""
        return {
            "reach": self.reach,
            "mape_percent": self.error_percent,
            "mape_percent_without_drift": self.left_percent,
        }


def find_drift(values: Floats, predicted: Floats) -> Drift | None:
    """Returns the drift in values [n] that stand in the order of measuring; None where none is clear.

    Args:
        values: measured, above zero, in the order of time.
        predicted: for each, by a fit that has not seen it, above zero.

    A value's own error is not used to tell its drift, so that noise is not taken for drift. Where
    neighbours are alike themselves, as in a sorted file, their errors would be alike without any
    drift: none is then sought.
    """
    if len(values) < _FEWEST or not (predicted > 0).all() or not (values > 0).all():
        return None
    if _are_sorted(predicted):
        return None
    errors = np.log(values / predicted)
    best, reach, left = errors * 0, 0, np.inf
    for tried in _REACHES:
        if tried * 4 > len(values):
            break
        told = _told(errors, tried)
        error = float(np.mean(np.abs(np.expm1(told - errors))))
        if error < left:
            best, reach, left = told, tried, error
    plain = float(np.mean(np.abs(predicted / values - 1)))
    if left > _CLEARLY * plain:
        return None
    # Most of the time a machine is itself: the median drift is none.
    return Drift(np.exp(best - np.median(best)), reach, 100 * plain, 100 * left)


def _are_sorted(predicted: Floats) -> bool:
    """Whether neighbours are more alike than those of a random order."""
    ranks = np.argsort(np.argsort(predicted, kind="stable")).astype(np.float64)
    if np.ptp(predicted) == 0:
        return True
    likeness = abs(float(np.corrcoef(ranks[:-1], ranks[1:])[0, 1]))
    return likeness > max(_ALIKE, float(4 / len(ranks) ** 0.5))


def _told(errors: Floats, reach: int) -> Floats:
    """The median error of the neighbours of each, on both sides, without its own."""
    padded = np.pad(errors, reach, constant_values=np.nan)
    windows = sliding_window_view(padded, 2 * reach + 1)
    neighbours = np.delete(windows, reach, axis=1)
    told: Floats = np.nanmedian(neighbours, axis=1)
    return told
