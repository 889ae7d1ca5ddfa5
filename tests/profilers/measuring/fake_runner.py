"""A runner for tests of the measuring worker: each artefact is a text that says how it behaves."""

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwnas.errors import UnavailableError
from hwnas.profilers.measuring.runner import Runner


class Sleeper(Runner):
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def run(self) -> None:
        time.sleep(self.seconds)


class Parts(Sleeper):
    """One that can tell its parts, and where it runs."""

    def breakdown(self, calls: int) -> Mapping[str, float]:
        return {"stem.conv": 0.25, "ReorderOutput": 0.5}

    def conditions(self) -> Mapping[str, str]:
        return {"server": "elsewhere"}


def load(path: Path, settings: Mapping[str, Any]) -> Runner:
    """Returns a runner that does as the file says.

    `sleep S`, `slow S` to load, `crash`, `hang`, `fail`, `once`, `parts`, `gone`.
    """
    print("a library that prints to standard output")
    what, _, argument = path.read_text().partition(" ")
    if what == "fail":
        raise ValueError("this artefact cannot be loaded\nand more lines")
    if what == "crash":
        print("out of luck", file=sys.stderr, flush=True)
        os.kill(os.getpid(), 9) if argument == "hard" else os._exit(7)
    if what == "once" and not Path(argument).exists():
        Path(argument).touch()
        os._exit(7)
    if what == "gone":
        raise UnavailableError("the board is gone")
    if what == "hang":
        return Sleeper(3600)
    if what == "torch":
        import torch  # noqa: F401 (must fail)
    if what == "parts":
        return Parts(1e-4)
    if what == "slow":
        time.sleep(float(argument))
    seconds = float(argument) if what == "sleep" else 1e-5
    return Sleeper(seconds)
