"""Plots as plotly draws them, and plotly itself packed for a page without network."""

import base64
import gzip
import hashlib
import math
from dataclasses import dataclass
from functools import cache
from typing import Any

from hwnas.report.html import plain
from hwnas.report.plot import NUM_COLOURS, Plot, Series

_SYMBOLS = {"circle": "circle", "diamond": "diamond", "square": "square"}
_FAINT = 0.38
_LONGEST_NAME = 48


@dataclass(frozen=True)
class PackedScript:
    """A script for a page: gzip in base64, and the SHA-256 (base64) of the script itself."""

    packed: str
    digest: str


def plotly_figure(plot: Plot) -> dict[str, Any]:
    """Returns plotly's JSON of a plot.

    Colours are numbers in `meta.colour`: the page puts in those of its light or dark sheet.
    """
    x_axis: dict[str, Any] = {"title": {"text": _words(_x_label(plot))}}
    y_axis: dict[str, Any] = {"title": {"text": _words(plot.y_label)}}
    if plot.x_log:
        x_axis["type"] = "log"
        if plot.diagonal:
            y_axis["type"] = "log"
    layout: dict[str, Any] = {
        "xaxis": x_axis,
        "yaxis": y_axis,
        "showlegend": sum(one.listed for one in plot.series) > 1,
        "shapes": [_limit(value) for value, _ in plot.limits],
        "annotations": [_limit_note(value, note, plot.x_log) for value, note in plot.limits],
    }
    if plot.diagonal:
        layout["shapes"].append(_diagonal(plot))
    return {"data": [_trace(one) for one in plot.series], "layout": layout}


@cache
def packed_plotly() -> PackedScript:
    """Returns plotly's script, from the package `plotly`: 4.8 MB, as text of 2 MB."""
    from plotly.offline import get_plotlyjs

    script = get_plotlyjs().encode("utf-8")
    packed = gzip.compress(script, compresslevel=9, mtime=0)
    return PackedScript(base64.b64encode(packed).decode("ascii"), script_digest(script))


def script_digest(script: bytes) -> str:
    """Returns the SHA-256 of a script, in base64, as a page's policy names it."""
    return base64.b64encode(hashlib.sha256(script).digest()).decode("ascii")


def _x_label(plot: Plot) -> str:
    return plot.x_label + (" (logarithmic)" if plot.x_log else "")


def _shortened(name: str) -> str:
    """A name for a legend, which must leave room for the plot."""
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _words(value: str) -> str:
    """Text for plotly, which reads some HTML tags and their entities in it."""
    clean = plain(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # Braces after a percent sign would be a template.
    return clean.replace("%{", "% {")


def _trace(series: Series) -> dict[str, Any]:
    marks = series.marks
    mode = "+".join(["lines"] * series.joined + ["markers"] * series.dots) or "markers"
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": mode,
        "name": _words(_shortened(series.name)),
        "showlegend": series.listed,
        "x": [mark.x for mark in marks],
        "y": [mark.y for mark in marks],
        "hovertext": [_words(mark.title).replace("\n", "<br>") for mark in marks],
        "hoverinfo": "text" if any(mark.title for mark in marks) else "skip",
        "customdata": [mark.model for mark in marks],
        "meta": {"colour": series.colour % NUM_COLOURS, "device": plain(series.device)},
        "marker": {
            "symbol": [_SYMBOLS[mark.shape] for mark in marks],
            "opacity": [_FAINT if mark.faint else 1.0 for mark in marks],
            "size": 9,
        },
    }
    if series.joined:
        trace["line"] = {"shape": "hv" if series.stepped else "linear", "width": 1.6}
    for axis in ("x", "y"):
        bars = [(getattr(mark, axis), getattr(mark, f"{axis}_interval")) for mark in marks]
        if any(ends for _, ends in bars):
            trace[f"error_{axis}"] = {
                "type": "data",
                "symmetric": False,
                "array": [max(0.0, ends[1] - at) if ends else 0.0 for at, ends in bars],
                "arrayminus": [max(0.0, at - ends[0]) if ends else 0.0 for at, ends in bars],
                "thickness": 1.2,
                "width": 0,
            }
    return trace


def _limit(value: float) -> dict[str, Any]:
    return {
        "type": "line",
        "x0": value,
        "x1": value,
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "line": {"dash": "dash", "width": 1.5},
        "name": "limit",
    }


def _limit_note(value: float, note: str, log: bool) -> dict[str, Any]:
    return {
        # An annotation's place on a logarithmic axis is its logarithm; a shape's is not.
        "x": math.log10(value) if log else value,
        "yref": "paper",
        "y": 0,
        "xanchor": "right",
        "yanchor": "bottom",
        "showarrow": False,
        "text": _words(note),
        "name": "limit",
    }


def _diagonal(plot: Plot) -> dict[str, Any]:
    values = [value for mark in plot.marks for value in (mark.x, mark.y)] or [0.0, 1.0]
    low, high = min(values), max(values)
    return {
        "type": "line",
        "x0": low,
        "y0": low,
        "x1": high,
        "y1": high,
        "layer": "below",
        "line": {"dash": "dot", "width": 1.5},
        "name": "guide",
    }
