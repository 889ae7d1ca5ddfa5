"""How tables and remarks fit a terminal."""

import io
import re
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout

import pytest

from hwnas.cli.output import print_table, remark

Shown = Callable[..., list[str]]

# The widest cells of a search's table.
COLUMNS = ["model", "deploy on", "validate %", "test %", "latency", "p95", "energy", "weights", "memory"]
ROW = ["6abd3a2989", "cpu-ort", "84.08", "83.98", "9.34us", "10.2us", "4.433mJ", "59.2kB", "16.4kB"]


class Terminal(io.StringIO):
    """What is written to a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Shown:
    """Calls a function and returns the lines that a terminal of eighty columns then shows."""
    monkeypatch.setenv("COLUMNS", "80")

    def call(function: Callable[..., None], *arguments: object) -> list[str]:
        with redirect_stdout(Terminal()) as made, redirect_stderr(made):
            function(*arguments)
        return re.sub(r"\x1b\[\d+m", "", made.getvalue()).splitlines()

    return call


def test_a_table_too_wide_for_a_terminal_breaks_its_heads_and_loses_nothing(on_terminal: Shown) -> None:
    lines = on_terminal(print_table, [*COLUMNS, "low-bit layers"], [[*ROW, "11/11"]])
    assert max(map(len, lines)) <= 80
    assert lines[-1].split() == [*ROW, "11/11"]
    assert "…" not in "".join(lines)


def test_a_narrow_table_keeps_its_heads_on_one_line(on_terminal: Shown) -> None:
    assert len(on_terminal(print_table, COLUMNS[:3], [ROW[:3]])) == 2


def test_a_remark_breaks_between_words(on_terminal: Shown) -> None:
    text = "predicted against measured for 36 proposals: " * 4
    lines = on_terminal(remark, text)
    assert len(lines) > 1
    assert max(map(len, lines)) <= 80
    assert " ".join(lines).split() == text.split()


def test_a_remark_stays_one_line_in_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    remark("word " * 60)
    assert capsys.readouterr().err.count("\n") == 1
