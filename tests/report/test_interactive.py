"""Plots for plotly: what plotly itself accepts, with names that stay text."""

import gzip
import json
import subprocess
import sys
from base64 import b64decode
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.report.figures import paper_plots
from hwnas.report.interactive import packed_plotly, plotly_figure
from hwnas.report.plot import Mark, Plot, Series
from hwnas.report.run import read_run


def plot(*marks: Mark, name: str = "one", **more: object) -> Plot:
    return Plot("key", "heading", "label", "x", "y", [Series(name, marks, 7)], **more)  # type: ignore[arg-type]


def test_plotly_accepts_every_plot_of_a_run(run_folder: Path) -> None:
    objects = pytest.importorskip("plotly.graph_objects")
    plots = paper_plots(read_run(run_folder))
    assert len(plots) > 8
    for one in plots:
        objects.Figure(plotly_figure(one))  # raises on a name or a value that it does not know


def test_points_lie_where_they_were_measured() -> None:
    (trace,) = plotly_figure(plot(Mark(2, 90, x_interval=(1.5, 4.0), model="abc"), Mark(3, 91)))["data"]
    assert (trace["x"], trace["y"]) == ([2, 3], [90, 91])
    assert trace["customdata"] == ["abc", None]
    assert trace["error_x"]["array"] == [2.0, 0.0]
    assert trace["error_x"]["arrayminus"] == [0.5, 0.0]
    assert "error_y" not in trace
    assert trace["meta"]["colour"] == 1


def test_a_limit_and_its_note_stand_at_one_place_on_either_axis() -> None:
    for low in (0.1, 5.0):
        layout = plotly_figure(plot(Mark(low, 1), limits=((10.0, "target"),)))["layout"]
        assert layout["shapes"][0]["x0"] == 10.0
        assert layout["annotations"][0]["x"] == (1.0 if low == 0.1 else 10.0)


@settings(max_examples=40)
@given(st.text(max_size=40))
def test_whatever_a_name_is_plotly_is_given_no_tag_and_no_template(name: str) -> None:
    figure = plotly_figure(plot(Mark(1, 2, title=name), name=name, limits=((3.0, name),)))
    (trace,) = figure["data"]
    for shown in (trace["name"], figure["layout"]["annotations"][0]["text"]):
        assert "<" not in shown
        assert ">" not in shown
        assert "%{" not in shown
    assert set("".join(trace["hovertext"]).replace("<br>", "")).isdisjoint("<>")
    json.dumps(figure, allow_nan=False).encode("utf-8")


def test_plotly_is_packed_whole() -> None:
    packed = packed_plotly()
    script = gzip.decompress(b64decode(packed.packed)).decode("utf-8")
    assert "plotly.js" in script[:200]
    assert "window.Plotly = Plotly" in script[-200:]
    assert len(packed.packed) < 0.5 * len(script)


def test_the_report_loads_no_library_of_plots_until_it_draws() -> None:
    source = "import sys, hwnas.report; print({'plotly', 'matplotlib'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"
