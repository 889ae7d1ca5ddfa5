"""Predicted against measured values as a picture that stands by itself."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hwnas.predictors import Prediction
    from hwnas.predictors.features import Floats

# More points than this hide each other and make files of megabytes.
_POINTS = 1500
_STYLE = (
    "svg{background:#fff;font:14px system-ui,sans-serif;fill:#222}line.grid{stroke:#ddd}"
    "line.guide{stroke:#777;stroke-dasharray:5 4}text{fill:#666}text.axis{fill:#222}"
    ".mark circle{fill:#2563a8;opacity:.6}.mark line.bar{stroke:#2563a8;opacity:.25}"
)


def write_plot(path: Path, metric: str, prediction: "Prediction", truth: "Floats") -> None:
    """Writes an SVG: a mark for each candidate with its 90 % interval, on the line where both agree.

    Raises:
        InputError: the file cannot be written.
    """
    from hwnas.files import write_text
    from hwnas.report.plot import Mark, Plot, Series, draw, number

    step = max(1, -(-len(truth) // _POINTS))
    rows = np.argsort(truth, kind="stable")[::step]
    marks = [
        Mark(
            x=float(truth[row]),
            y=float(prediction.mean[row]),
            title=f"measured {number(float(truth[row]))}, predicted {number(float(prediction.mean[row]))}",
            y_interval=(float(prediction.low[row]), float(prediction.high[row])),
        )
        for row in rows
    ]
    label = f"{metric}: predicted against measured, {len(rows)} of {len(truth)} candidates, 90 % intervals"
    drawn = draw(
        Plot(label, f"measured {metric}", f"predicted {metric}", [Series("", marks, 0)], diagonal=True)
    )
    head = '<svg xmlns="http://www.w3.org/2000/svg" '
    body = str(drawn).replace("<svg ", head, 1).replace(">", f"><style>{_STYLE}</style>", 1)
    write_text(path, f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n')
