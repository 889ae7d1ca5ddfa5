"""Names from outside in the report and on the terminal: shown, never obeyed."""

import io
import json
import sys
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest

from hwnas.cli.output import PlainProgress, print_table, say, showing_progress
from hwnas.report import write_report
from tests.report.conftest import make_run

NAMES = (
    "<script>alert(1)</script>",
    "</style><img src=x onerror=alert(1)>",
    "</script><script>alert(1)//",
    "\"' onload=alert(1) x='",
    "a\nb\r\nc",
    "javascript:alert(1)",
    "invoice\u202egnp.exe",
    "\u2066left\u2069 \u200f right",
    "\x1b]0;title\x07\x1b[2J\x1b[31mred",
    "[/red][bold]not markup[/]",
    "a\x00b",
    "{{7*7}} ${7*7} %s",
)


class Tags(HTMLParser):
    """What a browser would make of a page: its tags, with where scripts come from and handlers."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.handlers += [
            f"{name}={value}"
            for name, value in attrs
            if name.startswith("on") or (name in ("href", "src") and str(value).startswith("javascript:"))
        ]


@pytest.mark.parametrize("hostile", NAMES)
def test_a_hostile_name_adds_no_tag_to_the_report(tmp_path: Path, hostile: str) -> None:
    pages = {}
    for number, name in enumerate(("harmless", hostile)):
        folder = make_run(tmp_path / str(number) / "run", 4)
        front = json.loads((folder / "front.json").read_text())
        front["space"] = name
        front["devices"] = {name if device == "cpu" else device: {} for device in front["devices"]}
        for one in front["candidates"]:
            one["latency_ms"] = {name if k == "cpu" else k: v for k, v in one["latency_ms"].items()}
            one["deploy_on"] = name if one["deploy_on"] == "cpu" else one["deploy_on"]
            one["accuracy_top1"]["split"] = name
        front["dropped"] = [{"id": name, "device": name, "reason": name}]
        (folder / "front.json").write_text(json.dumps(front))
        (folder / "config.json").write_text(json.dumps({"data": name, name: {name: name}}))
        (folder / "environment.json").write_text(json.dumps({"command": ["hwnas", name], name: name}))
        pages[name] = write_report(folder).read_text(encoding="utf-8")
    parsed = {}
    for name, page in pages.items():
        parsed[name] = Tags()
        parsed[name].feed(page)
    assert set(parsed[hostile].tags) == set(parsed["harmless"].tags)
    assert parsed[hostile].tags.count("script") == parsed["harmless"].tags.count("script")
    assert parsed[hostile].handlers == parsed["harmless"].handlers == []
    for mark in "\u202e\u2066\u2069\u200f\x1b\x07\x00":
        assert mark not in pages[hostile]


def test_the_name_of_a_run_folder_is_text_in_its_report(tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>\u202e'\"\n"
    page = write_report(make_run(tmp_path / name, 3)).read_text(encoding="utf-8")
    parsed = Tags()
    parsed.feed(page)
    assert "img" not in parsed.tags
    assert parsed.handlers == []
    assert "\u202e" not in page


@pytest.mark.parametrize("hostile", NAMES)
def test_a_hostile_name_does_not_steer_the_terminal(hostile: str, capsys: pytest.CaptureFixture[str]) -> None:
    say(hostile)
    print_table([hostile, "n"], [[hostile, 1]], title=hostile)
    progress = PlainProgress(sys.stderr)
    progress.say(hostile)
    progress.step(hostile, 0, 2)
    shown = capsys.readouterr()
    text = shown.out + shown.err
    assert not [c for c in text if not c.isprintable() and c != "\n"]
    assert shown.err.count("\n") == 3
    if "[" in hostile and "\x1b" not in hostile:
        assert hostile in shown.out


@pytest.mark.parametrize("hostile", NAMES)
def test_a_hostile_name_does_not_steer_the_bars(hostile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with showing_progress() as progress:
        progress.step(hostile, 0, 2)
        progress.say(hostile)
        progress.step(hostile, 2, 2)
    assert "\x1b]0;" not in screen.getvalue()
    assert "\u202e" not in screen.getvalue()


def test_an_error_is_one_printable_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from hwnas.cli.main import main

    hostile = tmp_path / ("\x1b[2J\u202ename\n" + "x" * 100 + ".yaml")
    monkeypatch.setattr(sys, "argv", ["hwnas", "spaces", str(hostile)])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("hwnas: cannot read space file")
    assert error.count("\n") == 1
    assert error.rstrip("\n").isprintable()


def _drawn(folder: Path, name: str) -> set[str]:
    """The tags in the figure of a front, one of whose devices has this name."""
    from xml.etree import ElementTree

    from hwnas.report.figures import paper_plots
    from hwnas.report.paper import write_plot
    from hwnas.report.run import read_run

    make_run(folder, 2)
    text = (folder / "front.json").read_text()
    (folder / "front.json").write_text(text.replace('"cpu-ort"', json.dumps(name)))
    plot = next(one for one in paper_plots(read_run(folder)) if one.key.startswith("front"))
    write_plot(plot, folder / "front.svg")
    return {element.tag for element in ElementTree.parse(folder / "front.svg").iter()}


@pytest.fixture(scope="module")
def harmless(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    return _drawn(tmp_path_factory.mktemp("run"), "harmless")


@pytest.mark.parametrize("hostile", NAMES)
def test_a_hostile_name_adds_nothing_to_a_figure(tmp_path: Path, harmless: set[str], hostile: str) -> None:
    assert _drawn(tmp_path, hostile) == harmless
    assert not any(tag.endswith("script") for tag in harmless)


def _classes(folder: Path, names: Sequence[str]) -> Path:
    for name in names:
        (folder / name).mkdir(parents=True)
        for number in range(5):
            (folder / name / f"{number}.pgm").write_bytes(b"P2\n2 2\n255\n0 1 2 3\n")
    return folder


@pytest.mark.parametrize("hostile", [name for name in NAMES if not set(name) & set("/\0")])
def test_a_class_folder_with_a_hostile_name(
    tmp_path: Path, hostile: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from hwnas.cli.main import main
    from hwnas.data import get_dataset

    found = get_dataset(f"imagefolder:{_classes(tmp_path / 'images', [hostile, 'plain'])}")
    assert sorted(found.class_names) == sorted([hostile, "plain"])
    # One class only, an empty one, and one whose name no other part has: each is told by its name.
    _classes(tmp_path / "one", [hostile])
    _classes(tmp_path / "empty", ["plain"])
    (tmp_path / "empty" / hostile).mkdir()
    _classes(tmp_path / "parts" / "train", [hostile, "plain"])
    _classes(tmp_path / "parts" / "val", ["other", "plain"])
    for folder in ("one", "empty", "parts"):
        data = f"imagefolder:{tmp_path / folder}"
        monkeypatch.setattr(sys, "argv", ["hwnas", "train", "--data", data, "-o", str(tmp_path / "x")])
        with pytest.raises(SystemExit) as left:
            main()
        assert left.value.code == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert error.rstrip("\n").isprintable()
