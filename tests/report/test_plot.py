"""Plots: everything lies inside the frame, whatever the numbers."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.report.plot import Mark, Plot, Series, draw, number

FIGURE = st.floats(-1e15, 1e15) | st.floats(1e-9, 1e9) | st.just(0.0)


def plot(*marks: Mark, **more: object) -> Plot:
    joined = bool(more.pop("joined", False))
    return Plot("a plot", "x", "y", [Series("one", marks, 0, joined=joined)], **more)  # type: ignore[arg-type]


@given(st.lists(st.tuples(FIGURE, FIGURE), max_size=6), st.booleans())
def test_marks_lie_inside_the_frame(points: list[tuple[float, float]], diagonal: bool) -> None:
    drawn = draw(plot(*(Mark(x, y) for x, y in points), joined=True, diagonal=diagonal))
    centres = re.findall(r'<circle cx="([^"]+)" cy="([^"]+)"', drawn)
    assert len(centres) == len(points)
    assert all(0 <= float(x) <= 520 and 0 <= float(y) <= 360 for x, y in centres)
    assert 2 <= drawn.count('class="grid"') <= 40


def test_a_wide_range_is_drawn_on_a_logarithmic_axis() -> None:
    assert "x (logarithmic)" in draw(plot(Mark(0.2, 1), Mark(20, 2)))
    assert "logarithmic" not in draw(plot(Mark(2, 1), Mark(20, 2)))


def test_intervals_and_limits_are_inside_too() -> None:
    drawn = draw(
        plot(Mark(2, 90, x_interval=(1.0, 9.0), y_interval=(80.0, 99.0)), limits=((30.0, "target"),))
    )
    places = [float(value) for value in re.findall(r'[xy][12]="([^"]+)"', drawn)]
    assert min(places) >= 0
    assert max(places) <= 520


def test_titles_and_labels_are_text() -> None:
    drawn = draw(plot(Mark(1, 2, title="<i>&\"'")))
    assert "<title>&lt;i&gt;&amp;&quot;&#x27;</title>" in drawn


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        *[(0, "0"), (5, "5"), (0.9184, "0.918"), (1234.5, "1,234"), (100, "100"), (0.001, "0.001")],
        *[(-2.5, "-2.5"), (3e-7, "3e-07"), (2.5e9, "2.5e+09"), (412.49, "412")],
    ],
)
def test_figures_for_people(value: float, shown: str) -> None:
    assert number(value) == shown
