"""Plots for papers, drawn by matplotlib: vector graphics or pixels, white ground, type that prints."""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hwnas.errors import InputError
from hwnas.files import replacing
from hwnas.report.figures import paper_plots
from hwnas.report.html import plain
from hwnas.report.plot import Plot, Series
from hwnas.report.run import read_run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = ("png", "svg", "pdf")

# Okabe and Ito's colours, told apart by colour-blind readers and in grey.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8f7700", "#56b4e9")
_SHAPES = {"circle": "o", "diamond": "D", "square": "s"}
# A column of a two-column paper is about 3.4 inches wide.
_SIZE_INCHES = (3.4, 2.5)
_PIXELS_PER_INCH = 300
# Matplotlib has its settings' names as types, which differ from version to version.
_STYLE: Any = {
    "font.size": 8.0,
    "axes.labelsize": 8.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3e6ea",
    "grid.linewidth": 0.6,
    "legend.fontsize": 7.0,
    "legend.frameon": False,
    "lines.linewidth": 1.0,
    # Text stays text in the file, to be searched, set in another type or translated.
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    # The same run gives the same bytes.
    "svg.hashsalt": "hwnas",
}


def write_figures(run_folder: Path, form: str) -> list[Path]:
    """Returns the paths of the figures of a run, written as `figures/NAME.FORM` into its folder.

    Raises:
        InputError: no such format; a file of the run is missing or is not what a search writes;
            or the folder cannot be written to.
    """
    if form not in FORMATS:
        raise InputError(f"--format must be html, {', '.join(FORMATS)}, but got '{form}'")
    paths = []
    for plot in paper_plots(read_run(run_folder)):
        paths.append(run_folder / "figures" / f"{plot.key}.{form}")
        write_plot(plot, paths[-1])
    return paths


def write_plot(plot: Plot, path: Path) -> None:
    """Writes one plot to a file whose ending is one of `FORMATS`.

    Raises:
        InputError: another ending, or the file cannot be written.
    """
    form = path.suffix.removeprefix(".").lower()
    if form not in FORMATS:
        raise InputError(f"a plot's file must end in .{', .'.join(FORMATS)}, but got '{path}'")
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # A context, and a figure of its own: nothing of a notebook's matplotlib is touched.
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # A name may have letters that the type has not: they are drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
        FigureCanvasAgg(figure)
        _draw(plot, figure.add_subplot())
        out = io.BytesIO()
        dates: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
        figure.savefig(out, format=form, dpi=_PIXELS_PER_INCH, metadata=dates[form])
    with replacing(path) as temporary:
        temporary.write_bytes(out.getvalue())


def _draw(plot: Plot, axes: "Axes") -> None:
    for series in plot.series:
        _draw_series(series, axes)
    if plot.x_log:
        axes.set_xscale("log")
        if plot.diagonal:
            axes.set_yscale("log")
    if plot.diagonal:
        values = [value for mark in plot.marks for value in (mark.x, mark.y)]
        axes.plot([min(values), max(values)], [min(values), max(values)], ":", color="#70757a", zorder=1)
    for at, note in plot.limits:
        axes.axvline(at, linestyle="--", color="#b3261e", linewidth=0.9)
        place: dict[str, Any] = {"ha": "right", "va": "bottom", "rotation": 90, "color": "#b3261e"}
        axes.text(at, 0.02, _words(note), transform=axes.get_xaxis_transform(), fontsize=7, **place)
    axes.set_xlabel(_words(plot.x_label))
    axes.set_ylabel(_words(plot.y_label))
    if sum(series.listed for series in plot.series) > 1:
        axes.legend()


def _draw_series(series: Series, axes: "Axes") -> None:
    colour = _COLOURS[series.colour % len(_COLOURS)]
    label: str | None = _words(series.name) if series.listed else None
    solid = [mark for mark in series.marks if not mark.faint]
    if series.joined:
        xs, ys = [mark.x for mark in solid], [mark.y for mark in solid]
        steps: Literal["steps-post", "default"] = "steps-post" if series.stepped else "default"
        axes.plot(xs, ys, color=colour, drawstyle=steps, alpha=0.8, label=None if series.dots else label)
    if not series.dots:
        return
    for shape, symbol in _SHAPES.items():
        for faint in (False, True):
            marks = [mark for mark in series.marks if (mark.shape, mark.faint) == (shape, faint)]
            if not marks:
                continue
            errors: dict[str, Any] = {
                f"{axis}err": _bars([(getattr(m, axis), getattr(m, f"{axis}_interval")) for m in marks])
                for axis in ("x", "y")
            }
            axes.errorbar(
                [mark.x for mark in marks],
                [mark.y for mark in marks],
                **errors,
                fmt=symbol,
                color=colour,
                markersize=3.2,
                elinewidth=0.7,
                alpha=0.35 if faint else 1.0,
                label=label,
            )
            label = None


def _bars(places: Sequence[tuple[float, tuple[float, float] | None]]) -> list[list[float]] | None:
    if not any(ends for _, ends in places):
        return None
    below = [max(0.0, at - ends[0]) if ends else 0.0 for at, ends in places]
    return [below, [max(0.0, ends[1] - at) if ends else 0.0 for at, ends in places]]


def _words(value: str) -> str:
    """Text for matplotlib, which reads `$…$` as mathematics."""
    return plain(value).replace("$", r"\$")
