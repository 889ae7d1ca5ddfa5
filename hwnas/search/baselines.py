"""How much better the front is than the obvious: random networks and compound scaling."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Margin:
    """Accuracy of the found models minus that of baseline networks at the same latency or less.

    Attributes:
        mean_points: percent points; NaN where nothing could be compared.
        standard_error: of the mean, over the baseline networks.
        compared: baseline networks that some found model is as fast as.
        better: how many of them the found model beats.
        points: (latency ms, accuracy on test) of every baseline network.
    """

    mean_points: float
    standard_error: float
    compared: int
    better: int
    points: tuple[tuple[float, float], ...]

    def to_json(self) -> dict[str, Any]:
        """Returns the fields; NaN becomes None."""
        return {
            name: None if isinstance(value, float) and np.isnan(value) else value
            for name, value in vars(self).items()
        }


def margin(
    found_latency_ms: Floats,
    found_validate: Floats,
    found_test: Floats,
    baseline_latency_ms: Floats,
    baseline_test: Floats,
) -> Margin:
    """Returns the margin of found models over baseline networks at equal measured latency.

    For each baseline network, the found model that is no slower and best on the validation split
    is taken, and the two are compared on the test split: neither choice nor figure favours what
    was searched for.

    Args:
        found_latency_ms, found_validate, found_test: [f], measured, percent, percent.
        baseline_latency_ms, baseline_test: [b].
    """
    differences = []
    for latency, accuracy in zip(baseline_latency_ms, baseline_test, strict=True):
        as_fast = np.flatnonzero(found_latency_ms <= latency)
        if len(as_fast):
            chosen = as_fast[found_validate[as_fast].argmax()]
            differences.append(found_test[chosen] - accuracy)
    points = np.array(differences)
    n = len(points)
    return Margin(
        mean_points=float(points.mean()) if n else float("nan"),
        standard_error=float(points.std(ddof=1) / np.sqrt(n)) if n > 1 else float("nan"),
        compared=n,
        better=int((points > 0).sum()),
        points=tuple(zip(baseline_latency_ms.tolist(), baseline_test.tolist(), strict=True)),
    )
