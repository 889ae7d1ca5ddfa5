"""What a predictor says of candidates: a value and an interval for each."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas.predictors.features import Floats, Ints


@dataclass(frozen=True, eq=False)
class Prediction:
    """Predicted values with intervals, float64 [n] each, in the metric's unit.

    A 90 % interval leaves 5 % on either side, so `high` alone is a bound that 95 % stay below.
    """

    mean: Floats
    low: Floats
    high: Floats

    def __len__(self) -> int:
        return len(self.mean)

    def __getitem__(self, rows: "slice | Ints | NDArray[np.bool_] | list[int]") -> "Prediction":
        return Prediction(self.mean[rows], self.low[rows], self.high[rows])
