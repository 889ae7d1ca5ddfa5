"""A runner for tests of the measuring worker: each artefact is a text that says how it behaves."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path


def load(path: Path, threads: int) -> Callable[[], object]:
    """Returns a function that does as the file says: `sleep S`, `crash`, `hang`, `fail`, `once`."""
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
    if what == "hang":
        return lambda: time.sleep(3600)
    if what == "torch":
        import torch  # noqa: F401 (must fail)
    seconds = float(argument) if what == "sleep" else 1e-5
    return lambda: time.sleep(seconds)
