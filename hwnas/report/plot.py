"""Small scatter and line plots as inline SVG; colours and type come from the page's style sheet."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from hwnas.report.html import Html, element, join, text

Shape = Literal["circle", "diamond", "square"]
Scale = Callable[[float], float]

_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 14, 50
# Beyond this ratio a linear axis squeezes the small values together.
_LOG_RATIO = 20.0
NUM_COLOURS = 6


@dataclass(frozen=True)
class Mark:
    """One point: its place, its interval along each axis, and what hovering says."""

    x: float
    y: float
    title: str = ""
    x_interval: tuple[float, float] | None = None
    y_interval: tuple[float, float] | None = None
    shape: Shape = "circle"
    faint: bool = False


@dataclass(frozen=True)
class Series:
    """Points of one colour (counted modulo `NUM_COLOURS`), joined by a line or not, drawn or not."""

    name: str
    marks: Sequence[Mark]
    colour: int
    joined: bool = False
    stepped: bool = False
    dots: bool = True


@dataclass(frozen=True)
class Plot:
    """What to draw.

    Attributes:
        label: what the plot shows, in a sentence, for those who cannot see it.
        limit: x of a vertical line with its label.
        diagonal: draws x = y, and both axes alike.
    """

    label: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    limits: Sequence[tuple[float, str]] = ()
    diagonal: bool = False
    width: int = 520
    height: int = 360


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float
    log: bool
    ticks: tuple[float, ...]

    def share(self, value: float) -> float:
        """Where a value lies between low and high, 0 to 1."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def draw(plot: Plot) -> Html:
    """Returns the SVG of a plot."""
    x_axis, y_axis = _axes(plot)
    inner_width, inner_height = plot.width - _LEFT - _RIGHT, plot.height - _TOP - _BOTTOM

    def x(value: float) -> float:
        return round(_LEFT + inner_width * x_axis.share(value), 1)

    def y(value: float) -> float:
        return round(_TOP + inner_height * (1 - y_axis.share(value)), 1)

    parts = [
        *(_x_tick(tick, x(tick), plot) for tick in x_axis.ticks),
        *(_y_tick(tick, y(tick), plot) for tick in y_axis.ticks),
        *_labels(plot, x_axis.log),
    ]
    if plot.diagonal:
        low, high = max(x_axis.low, y_axis.low), min(x_axis.high, y_axis.high)
        parts.append(_line(x(low), y(low), x(high), y(high), "guide"))
    parts += [_limit(x(value), note, plot) for value, note in plot.limits]
    parts += [_drawn(series, x, y) for series in plot.series]
    frame = {"viewBox": f"0 0 {plot.width} {plot.height}", "role": "img", "aria-label": plot.label}
    return element("svg", frame, *parts)


def legend(entries: Sequence[tuple[str, int | None, Shape]]) -> Html:
    """Returns a legend: name, colour (None for neutral) and shape of each entry."""
    items = []
    for label, colour, shape in entries:
        mark = _shape(shape, 8, 8, 5.5)
        swatch = element(
            "svg", {"viewBox": "0 0 16 16", "class": f"key {_colour(colour)}", "aria-hidden": "true"}, mark
        )
        items.append(element("li", None, swatch, element("bdi", None, text(label))))
    return element("ul", {"class": "legend"}, *items)


def number(value: float) -> str:
    """Returns a figure for people, three significant digits, without an exponent where it is short."""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    if not 1e-4 <= abs(value) < 1e7:
        return f"{value:.3g}"
    shown = f"{value:,.{min(digits, 6)}f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def _axes(plot: Plot) -> tuple[_Axis, _Axis]:
    marks = [mark for series in plot.series for mark in series.marks]
    xs = [v for mark in marks for v in (mark.x, *(mark.x_interval or ()))] + [v for v, _ in plot.limits]
    ys = [v for mark in marks for v in (mark.y, *(mark.y_interval or ()))]
    if plot.diagonal:
        xs = ys = xs + ys
    return _axis(xs or [0.0, 1.0], plot.width // 80), _axis(
        ys or [0.0, 1.0], plot.height // 60, plot.diagonal
    )


def _axis(values: Sequence[float], wanted: int, may_log: bool = True) -> _Axis:
    low, high = min(values), max(values)
    if may_log and low > 0 and high / low > _LOG_RATIO:
        low, high = low / 1.15, high * 1.15
        exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        many = [m * 10.0**e for e in exponents for m in (1, 2, 5)]
        few = [10.0**e for e in exponents[:: 1 + len(exponents) // (wanted + 2)]]
        ticks = many if sum(low <= tick <= high for tick in many) <= wanted + 2 else few
        return _Axis(low, high, True, tuple(tick for tick in ticks if low <= tick <= high))
    if high - low < 1e-9 * max(1.0, abs(high)):
        low, high = low - max(abs(low) * 0.1, 0.5), high + max(abs(high) * 0.1, 0.5)
    margin = 0.06 * (high - low)
    low, high = (max(0.0, low - margin) if low >= 0 else low - margin), high + margin
    step = _step((high - low) / max(wanted, 2))
    first = math.ceil(low / step)
    return _Axis(low, high, False, tuple(k * step for k in range(first, math.floor(high / step) + 1)))


def _step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)


def _x_tick(value: float, at: float, plot: Plot) -> Html:
    bottom = plot.height - _BOTTOM
    return join(
        _line(at, _TOP, at, bottom, "grid"),
        element("text", {"x": at, "y": bottom + 18, "text-anchor": "middle"}, text(number(value))),
    )


def _y_tick(value: float, at: float, plot: Plot) -> Html:
    return join(
        _line(_LEFT, at, plot.width - _RIGHT, at, "grid"),
        element("text", {"x": _LEFT - 8, "y": at + 4.5, "text-anchor": "end"}, text(number(value))),
    )


def _labels(plot: Plot, x_log: bool) -> list[Html]:
    middle_x = (_LEFT + plot.width - _RIGHT) / 2
    middle_y = (_TOP + plot.height - _BOTTOM) / 2
    x_label = plot.x_label + (" (logarithmic)" if x_log else "")
    return [
        element(
            "text",
            {"class": "axis", "x": middle_x, "y": plot.height - 10, "text-anchor": "middle"},
            text(x_label),
        ),
        element(
            "text",
            {
                "class": "axis",
                "x": 16,
                "y": middle_y,
                "text-anchor": "middle",
                "transform": f"rotate(-90 16 {middle_y:g})",
            },
            text(plot.y_label),
        ),
    ]


def _limit(at: float, note: str, plot: Plot) -> Html:
    right = at < plot.width * 0.6
    place = {"class": "limit", "x": at + (5 if right else -5), "y": plot.height - _BOTTOM - 8}
    return join(
        _line(at, _TOP, at, plot.height - _BOTTOM, "limit"),
        element("text", {**place, "text-anchor": "start" if right else "end"}, text(note)),
    )


def _drawn(series: Series, x: Scale, y: Scale) -> Html:
    solid = [mark for mark in series.marks if not mark.faint]
    parts = []
    if series.joined and len(solid) > 1:
        places = [(x(mark.x), y(mark.y)) for mark in solid]
        path = f"M{places[0][0]:g} {places[0][1]:g}"
        for px, py in places[1:]:
            path += f"H{px:g}V{py:g}" if series.stepped else f"L{px:g} {py:g}"
        parts.append(element("path", {"class": "join", "d": path}))
    if series.dots:
        parts += [_mark(mark, x, y) for mark in series.marks]
    return element("g", {"class": _colour(series.colour)}, *parts)


def _mark(mark: Mark, x: Scale, y: Scale) -> Html:
    parts = [element("title", None, text(mark.title))] if mark.title else []
    if mark.y_interval:
        parts.append(_line(x(mark.x), y(mark.y_interval[0]), x(mark.x), y(mark.y_interval[1]), "bar"))
    if mark.x_interval:
        parts.append(_line(x(mark.x_interval[0]), y(mark.y), x(mark.x_interval[1]), y(mark.y), "bar"))
    parts.append(_shape(mark.shape, x(mark.x), y(mark.y), 5.0))
    return element("g", {"class": "mark faint" if mark.faint else "mark"}, *parts)


def _shape(shape: Shape, x: float, y: float, r: float) -> Html:
    if shape == "circle":
        return element("circle", {"cx": f"{x:g}", "cy": f"{y:g}", "r": r})
    if shape == "square":
        return element(
            "rect", {"x": f"{x - r * 0.9:g}", "y": f"{y - r * 0.9:g}", "width": 1.8 * r, "height": 1.8 * r}
        )
    far = 1.3 * r
    return element("path", {"d": f"M{x:g} {y - far:g}l{far:g} {far:g}l{-far:g} {far:g}l{-far:g} {-far:g}z"})


def _line(x1: float, y1: float, x2: float, y2: float, role: str) -> Html:
    return element(
        "line", {"class": role, "x1": f"{x1:g}", "y1": f"{y1:g}", "x2": f"{x2:g}", "y2": f"{y2:g}"}
    )


def _colour(colour: int | None) -> str:
    return "neutral" if colour is None else f"c{colour % NUM_COLOURS}"
