"""Predicted against measured values as a picture that stands by itself."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hwnas.predictors import Prediction
    from hwnas.predictors.features import Floats

# More points than this hide each other and make files of megabytes.
_POINTS = 1500


def write_scores_plot(path: Path, metric: str, prediction: "Prediction", truth: "Floats") -> None:
    """Draws a mark for each candidate with its 90 % interval, and the line where both agree.

    Raises:
        InputError: the file's ending is of no known format, or it cannot be written.
    """
    from hwnas.report.paper import write_plot
    from hwnas.report.plot import Mark, Plot, Series

    rows = np.argsort(truth, kind="stable")[:: max(1, -(-len(truth) // _POINTS))]
    marks = [
        Mark(
            x=float(truth[row]),
            y=float(prediction.mean[row]),
            y_interval=(float(prediction.low[row]), float(prediction.high[row])),
        )
        for row in rows
    ]
    plot = Plot(
        key="scores",
        heading=f"{metric}: predicted against measured",
        label=f"{len(rows)} of {len(truth)} candidates with 90 % intervals",
        x_label=f"measured {metric}",
        y_label=f"predicted {metric}",
        series=[Series("", marks, 0, listed=False)],
        diagonal=True,
    )
    write_plot(plot, path)
