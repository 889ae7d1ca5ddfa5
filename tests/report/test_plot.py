"""What plots show: whether an axis is logarithmic, figures for people."""

import pytest

from hwnas.report.forms import Figure
from hwnas.report.plot import Mark, Plot, Series, keys, number


def plot(*marks: Mark, **more: object) -> Plot:
    return Plot("key", "heading", "label", "x", "y", [Series("one", marks, 0)], **more)  # type: ignore[arg-type]


def test_a_wide_range_is_drawn_on_a_logarithmic_axis() -> None:
    assert plot(Mark(0.2, 1), Mark(20, 2)).x_log
    assert not plot(Mark(2, 1), Mark(20, 2)).x_log
    assert not plot(Mark(0, 1), Mark(20, 2)).x_log
    assert not plot().x_log


def test_limits_intervals_and_the_other_side_of_a_diagonal_count_too() -> None:
    assert plot(Mark(1, 1), limits=((30.0, "target"),)).x_log
    assert plot(Mark(2, 1, x_interval=(0.1, 3.0))).x_log
    assert plot(Mark(1, 30), diagonal=True).x_log
    assert not plot(Mark(1, 30)).x_log


def test_keys_are_names_of_files_and_no_two_are_alike() -> None:
    made = keys("p", ["cpu-ort", "a/b", "a:b", "../..", "", "2", "\u4e2d", "3"])
    assert made == ["p-cpu-ort", "p-a-b", "p-a-b-2", "p", "p-2", "p-2-2", "p-3", "p-3-2"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        *[(0, "0"), (5, "5"), (0.9184, "0.918"), (1234.5, "1,234"), (100, "100"), (0.001, "0.001")],
        *[(-2.5, "-2.5"), (3e-7, "3e-07"), (2.5e9, "2.5e+09"), (412.49, "412")],
    ],
)
def test_figures_for_people(value: float, shown: str) -> None:
    assert number(value) == shown


@pytest.mark.parametrize(
    ("low", "high", "digits", "shown"),
    [
        *[
            (89.4, 90.6, 2, "± 0.60"),
            (89.0, 90.2, 2, "89.00 to 90.20"),
            (89.9996, 90.0004, None, "± 0.00040"),
        ],
        *[(90.0, 90.0, 2, ""), (None, 91.0, 2, ""), (80.0, 91.0, None, "80 to 91"), (91.0, 80.0, None, "")],
    ],
)
def test_intervals_for_people(low: float | None, high: float, digits: int | None, shown: str) -> None:
    assert Figure(value=90.0, low=low, high=high).interval(digits) == shown
