"""What a plot shows, whoever draws it: the page by plotly, papers by matplotlib."""

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Shape = Literal["circle", "diamond", "square"]

# Beyond this ratio a linear axis squeezes the small values together.
_LOG_RATIO = 20.0
NUM_COLOURS = 6


@dataclass(frozen=True)
class Mark:
    """One point: its place, its interval along each axis, what hovering says, and the model it stands for."""

    x: float
    y: float
    title: str = ""
    x_interval: tuple[float, float] | None = None
    y_interval: tuple[float, float] | None = None
    shape: Shape = "circle"
    faint: bool = False
    model: str | None = None


@dataclass(frozen=True)
class Series:
    """Points of one colour (counted modulo `NUM_COLOURS`), joined by a line or not, drawn or not.

    Attributes:
        listed: whether a legend names it; parts of one line are named once.
        device: the device it is of, where it is of one.
    """

    name: str
    marks: Sequence[Mark]
    colour: int
    joined: bool = False
    stepped: bool = False
    dots: bool = True
    listed: bool = True
    device: str = ""


@dataclass(frozen=True)
class Plot:
    """What to draw.

    Attributes:
        key: its own name, of letters, digits, dots and dashes, for files and anchors.
        heading: the title above it.
        label: what the plot shows, in a sentence, for those who cannot see it.
        limits: x of vertical lines, each with its label.
        diagonal: draws x = y, and both axes alike.
        note: a line below it.
    """

    key: str
    heading: str
    label: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    limits: Sequence[tuple[float, str]] = ()
    diagonal: bool = False
    note: str = ""

    @property
    def marks(self) -> Iterator[Mark]:
        """Every mark of every series."""
        return (mark for series in self.series for mark in series.marks)

    @property
    def x_log(self) -> bool:
        """Whether x, and y on a diagonal, is told on a logarithmic axis."""
        values = [v for mark in self.marks for v in (mark.x, *(mark.x_interval or ()))]
        values += [value for value, _ in self.limits]
        if self.diagonal:
            values += [v for mark in self.marks for v in (mark.y, *(mark.y_interval or ()))]
        return bool(values) and min(values) > 0 and max(values) / min(values) > _LOG_RATIO


def keys(prefix: str, titles: Iterable[str]) -> list[str]:
    """Returns a key for each title, no two alike, whatever letters the titles have."""
    made: list[str] = []
    for title in titles:
        safe = re.sub(r"[^A-Za-z0-9._]+", "-", f"{prefix}-{title}" if title else prefix).strip("-.")
        tries = (safe if n == 1 else f"{safe}-{n}" for n in itertools.count(1))
        made.append(next(one for one in tries if one not in made))
    return made


def number(value: float) -> str:
    """Returns a figure for people, three significant digits, without an exponent where it is short."""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    if not 1e-4 <= abs(value) < 1e7:
        return f"{value:.3g}"
    shown = f"{value:,.{min(digits, 6)}f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown
