"""Running the command line inside the test's process."""

import contextlib
import io
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from hwnas.cli.main import main


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str


@pytest.fixture
def hwnas(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Runs `hwnas WORDS…` and returns its exit code and output."""

    def run(*words: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["hwnas", *map(str, words)])
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as left,
        ):
            main()
        code = left.value.code
        return Ran(code if isinstance(code, int) else 0, out.getvalue(), err.getvalue())

    return run
