"""Links: the scale on which a metric is nearly additive, and its way back.

A regressor works on targets; a link makes them from values and brings predictions back, given
what the physics expects of each candidate (ones where there is no physics).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from hwnas.predictors.features import Floats
from hwnas.predictors.prediction import Prediction

# A ratio is held above this, so that a far extrapolation is still a time.
_SMALLEST_RATIO = 0.01


class Link(ABC):
    """A monotone map between values and targets, both float64 [n]."""

    @abstractmethod
    def forward(self, values: Floats, expected: Floats) -> Floats:
        """Returns the targets of values."""

    @abstractmethod
    def inverse(self, targets: Floats, expected: Floats) -> Floats:
        """Returns the values of targets."""

    @abstractmethod
    def target_noise(self, noise: Floats, values: Floats, expected: Floats) -> Floats:
        """Returns the standard errors of targets, from those of values."""

    @abstractmethod
    def deviations(self, values: Floats, mean: Floats, deviation: Floats, expected: Floats) -> Floats:
        """Returns by how many standard deviations values lie above the predicted mean target."""

    @abstractmethod
    def bound(self, mean: Floats, deviation: Floats, away: float, expected: Floats) -> Floats:
        """Returns the values that lie `away` standard deviations above the predicted mean target."""

    @final
    def prediction(
        self, mean: Floats, deviation: Floats, ends: tuple[float, float], expected: Floats
    ) -> Prediction:
        """Returns the values of predicted mean targets, with intervals between two bounds.

        Args:
            mean, deviation: of the targets, [n].
            ends: by how many deviations the low and the high bound lie above the mean.
            expected: [n].
        """
        middle = self.inverse(mean, expected)
        low, high = (self.bound(mean, deviation, end, expected) for end in ends)
        # Errors that all lie on one side would leave the mean outside of its interval.
        return Prediction(middle, np.minimum(low, middle), np.maximum(high, middle))

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Returns what `link_of_json` reads."""


class OverExpected(Link):
    """A link of value over expected, whose intervals are made on the targets."""

    @final
    def deviations(self, values: Floats, mean: Floats, deviation: Floats, expected: Floats) -> Floats:
        """Returns standardised residuals of the targets."""
        return (self.forward(values, expected) - mean) / deviation

    @final
    def bound(self, mean: Floats, deviation: Floats, away: float, expected: Floats) -> Floats:
        """Returns the values at a bound of the targets."""
        return self.inverse(mean + away * deviation, expected)


@final
@dataclass(frozen=True)
class LogRatio(OverExpected):
    """The logarithm of value over expected: errors are relative, predictions above zero."""

    def forward(self, values: Floats, expected: Floats) -> Floats:
        """Returns log(values / expected)."""
        return np.log(values / expected)

    def inverse(self, targets: Floats, expected: Floats) -> Floats:
        """Returns the values; ratios are held within e^±20."""
        return expected * np.exp(np.clip(targets, -20.0, 20.0))

    def target_noise(self, noise: Floats, values: Floats, expected: Floats) -> Floats:
        """Returns relative standard errors."""
        return noise / values

    def to_json(self) -> dict[str, Any]:
        """Returns its name."""
        return {"kind": "log_ratio"}


@final
@dataclass(frozen=True)
class Ratio(OverExpected):
    """Value over expected, less one: keeps a sum over layers a sum over layers."""

    def forward(self, values: Floats, expected: Floats) -> Floats:
        """Returns values / expected - 1."""
        return values / expected - 1

    def inverse(self, targets: Floats, expected: Floats) -> Floats:
        """Returns the values, at least a hundredth of the expected."""
        return expected * np.maximum(1 + targets, _SMALLEST_RATIO)

    def target_noise(self, noise: Floats, values: Floats, expected: Floats) -> Floats:
        """Returns standard errors over the expected."""
        return noise / expected

    def to_json(self) -> dict[str, Any]:
        """Returns its name."""
        return {"kind": "ratio"}


@final
@dataclass(frozen=True)
class Saturating(Link):
    """t = -log(ceiling - accuracy): each layer's part is worth less near the ceiling.

    Accuracies are percent. Intervals are made on the accuracies themselves, since a measured one
    may lie above the ceiling by luck.

    Attributes:
        ceiling: percent; None leaves accuracies as they are.
    """

    ceiling: float | None

    def forward(self, values: Floats, expected: Floats) -> Floats:
        """Returns the targets; values must be below the ceiling."""
        return values.copy() if self.ceiling is None else -np.log(self.ceiling - values)

    def inverse(self, targets: Floats, expected: Floats) -> Floats:
        """Returns accuracies within 0 and 100."""
        values = targets if self.ceiling is None else self.ceiling - np.exp(-np.clip(targets, -6.0, 50.0))
        return np.clip(values, 0.0, 100.0)

    def target_noise(self, noise: Floats, values: Floats, expected: Floats) -> Floats:
        """Returns the standard errors times the link's slope."""
        return noise.copy() if self.ceiling is None else noise / (self.ceiling - values)

    def deviations(self, values: Floats, mean: Floats, deviation: Floats, expected: Floats) -> Floats:
        """Returns residuals in points over the deviation in points."""
        return (values - self.inverse(mean, expected)) / self._points(mean, deviation)

    def bound(self, mean: Floats, deviation: Floats, away: float, expected: Floats) -> Floats:
        """Returns accuracies at a bound in points."""
        return np.clip(self.inverse(mean, expected) + away * self._points(mean, deviation), 0.0, 100.0)

    def _points(self, mean: Floats, deviation: Floats) -> Floats:
        return deviation if self.ceiling is None else deviation * np.exp(-np.clip(mean, -6.0, 50.0))

    def to_json(self) -> dict[str, Any]:
        """Returns its name and ceiling."""
        return {"kind": "saturating", "ceiling": self.ceiling}


def link_of_json(fields: dict[str, Any]) -> Link:
    """Returns the link that `to_json` described; KeyError, TypeError or ValueError if malformed."""
    if fields["kind"] == "saturating":
        ceiling = fields["ceiling"]
        return Saturating(None if ceiling is None else float(ceiling))
    return {"log_ratio": LogRatio(), "ratio": Ratio()}[fields["kind"]]
