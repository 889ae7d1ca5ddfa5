"""Figures for papers: every plot of the page as a file, the same bytes each time."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from PIL import Image

from hwnas.errors import InputError
from hwnas.report import write_figures
from hwnas.report.figures import paper_plots
from hwnas.report.paper import write_plot
from hwnas.report.plot import Mark, Plot, Series
from hwnas.report.run import read_run
from tests.report.walker import HOSTILE, change


def test_every_plot_becomes_a_vector_graphic_whose_words_are_text(run_folder: Path) -> None:
    paths = write_figures(run_folder, "svg")
    assert [path.stem for path in paths] == [plot.key for plot in paper_plots(read_run(run_folder))]
    assert {path.parent for path in paths} == {run_folder / "figures"}
    words = "".join(ET.parse(paths[0]).getroot().itertext())
    assert "latency, ms" in words
    assert "target 5 ms" in words
    first = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in write_figures(run_folder, "svg")] == first


def test_pixels_are_enough_for_a_column_in_print(run_folder: Path) -> None:
    change(run_folder, "predictors.json", lambda _: {})
    change(run_folder, "baselines.json", lambda _: {})
    with Image.open(write_figures(run_folder, "png")[0]) as image:
        assert image.size == (1020, 750)
        assert len(image.getcolors(1 << 24) or ()) > 10


def test_hostile_names_are_drawn_and_stay_text(run_folder: Path) -> None:
    def rename(front: dict) -> None:  # type: ignore[type-arg]
        front["devices"] = [f"$\\frac{{ {HOSTILE}", "../../\u4e2d"]
        for model in front["candidates"]:
            figure = next(iter(model["latency_ms"].values()))
            model["latency_ms"] = {f"$\\frac{{ {HOSTILE}": figure, "../../\u4e2d": figure}

    change(run_folder, "front.json", rename)
    paths = write_figures(run_folder, "svg")
    assert "<script>alert(1)</script>" in "".join(ET.parse(paths[0]).getroot().itertext())
    assert all(path.parent == run_folder / "figures" for path in paths)


def test_an_unknown_format_is_refused_with_those_there_are(run_folder: Path) -> None:
    with pytest.raises(InputError, match="must be html, png, svg, pdf, but got 'gif'"):
        write_figures(run_folder, "gif")


def test_a_plot_s_file_ends_in_a_format(tmp_path: Path) -> None:
    plot = Plot("key", "heading", "label", "x", "y", [Series("one", [Mark(1.0, 2.0)], 0)])
    write_plot(plot, tmp_path / "a.SVG")
    assert ET.parse(tmp_path / "a.SVG").getroot().tag.endswith("svg")
    with pytest.raises(InputError, match=r"must end in \.png, \.svg, \.pdf"):
        write_plot(plot, tmp_path / "a.gif")
