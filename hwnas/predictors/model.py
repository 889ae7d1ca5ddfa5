"""The contract of a regressor on the link's scale, and the simplest one."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwnas.predictors.bases import Inputs
from hwnas.predictors.features import Floats

# No standard deviation is below this, in units of the target.
SMALLEST_DEVIATION = 1e-6


class Model(ABC):
    """A fitted regressor: targets of candidates, with a standard deviation."""

    @abstractmethod
    def mean(self, inputs: Inputs) -> Floats:
        """Returns the expected target [n]."""

    @abstractmethod
    def mean_and_deviation(self, inputs: Inputs) -> tuple[Floats, Floats]:
        """Returns the expected target [n] and the standard deviation [n] of one measurement."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Returns the JSON form, its `kind` included."""


@dataclass(frozen=True)
class Constant(Model):
    """The same target and deviation for every candidate."""

    target: float
    deviation: float

    @staticmethod
    def fit(targets: Floats) -> "Constant":
        """Returns the median; the deviation is left to calibration, in units of 5 %.

        A deviation estimated on three points that physics goes through would mean nothing.
        """
        return Constant(float(np.median(targets)), 0.05)

    def mean(self, inputs: Inputs) -> Floats:
        """Returns the target, n times."""
        return np.full(len(inputs.candidates), self.target)

    def mean_and_deviation(self, inputs: Inputs) -> tuple[Floats, Floats]:
        """Returns target and deviation, n times."""
        return self.mean(inputs), np.full(len(inputs.candidates), self.deviation)

    def to_json(self) -> dict[str, Any]:
        """Returns both numbers."""
        return {"kind": "constant", "target": self.target, "deviation": self.deviation}
