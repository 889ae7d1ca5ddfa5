"""`hwnas spaces`: printing a space as YAML, showing one's own, and scaled architectures."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hwnas.spaces import get_space

from .conftest import Ran

Run = Callable[..., Ran]


def test_a_printed_space_is_shown_again_from_a_file(hwnas: Run, tmp_path: Path) -> None:
    printed = hwnas("spaces", "demo", "--yaml")
    assert printed.code == 0
    path = tmp_path / "mine.yaml"
    path.write_text(printed.out.replace("name: demo", "name: mine").replace("width: 80", "width: [80, 96]"))
    shown = hwnas("spaces", path, "--json")
    assert shown.code == 0, shown.err
    described = json.loads(shown.out)
    assert described["name"] == "mine"
    assert described["genes"]["w"] == {"count": 4, "choices": [16, 24, 40, 80, 96]}
    assert "mine" in hwnas("spaces", path).out


def test_a_space_is_shown_with_an_architecture_that_other_commands_take(hwnas: Run) -> None:
    largest = get_space("demo").largest().to_json()
    assert json.dumps(largest) in hwnas("spaces", "demo").out
    assert json.loads(hwnas("spaces", "demo", "--json").out)["largest"] == largest


def test_a_mistake_in_a_file_is_one_line(hwnas: Run, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nimage_sizes: 0\n")
    ran = hwnas("spaces", path)
    assert ran.code == 2
    assert ran.err.startswith(
        f"hwnas: {path} line 1: must have stem, stages, head too; "
        "line 2: image_sizes must be a whole number of pixels from 1 to 4096, but got 0"
    )
    assert ran.err.count("\n") == 1


def test_scaled_architectures_are_json_lines(hwnas: Run) -> None:
    ran = hwnas("spaces", "ofa-resnet50", "--scale", "0,2")
    rows = [json.loads(line) for line in ran.out.splitlines()]
    space = get_space("ofa-resnet50")
    assert [space.architecture(row).to_json() for row in rows] == rows
    assert rows[0] == space.smallest().to_json()
    base = json.dumps(space.largest().to_json())
    again = hwnas("spaces", "ofa-resnet50", "--scale", "0", "--base", base)
    assert json.loads(again.out) == space.largest().to_json()


def test_counts_beyond_floating_point_are_shown(hwnas: Run, tmp_path: Path) -> None:
    stage = "  - {width: 8, depth: 32, kernel: [3, 5, 7], expand: [1, 2, 3, 4, 5, 6]}\n"
    path = tmp_path / "deep.yaml"
    path.write_text(
        f"name: deep\nimage_sizes: 32\nstem: {{width: 8}}\nstages:\n{stage * 10}head: {{width: 8}}\n"
    )
    ran = hwnas("spaces", path)
    assert ran.code == 0, ran.err
    assert "e+401" in ran.out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--yaml"], "name it"),
        (["--scale", "1"], "name it"),
        (["demo", "--yaml", "--json"], "print different things"),
        (["demo", "--base", "{}"], "add --scale"),
        (["demo", "--scale", "big"], "--scale must be numbers from -100 to 100"),
        (["demo", "--scale", "nan"], "--scale must be numbers"),
        (["demo", "--scale", "1", "--base", "{"], "not valid JSON"),
        (["ofa-resnet50", "--yaml"], "only MobileNet-style spaces have a YAML form"),
        (["none.yaml"], "cannot read space file none.yaml"),
    ],
)
def test_options_that_make_no_sense_are_refused(hwnas: Run, words: list[str], says: str) -> None:
    ran = hwnas("spaces", *words)
    assert ran.code == 2
    assert says in ran.err
    assert ran.out == ""
