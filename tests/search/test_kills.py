"""A search killed at random moments, twenty times over, ends with the front of an unbroken one."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

_SCRIPT = """
import json, sys
from pathlib import Path
from tests.search.conftest import World
world = World(Path(sys.argv[1]))
front = world.run("run", additive=True).front
(Path(sys.argv[1]) / "front.json").write_text(json.dumps(front.to_json()))
"""


def test_twenty_killed_searches_resume_to_the_same_front(tmp_path: Path) -> None:
    started = time.monotonic()
    whole = _front(tmp_path / "whole", None)
    longest_s = time.monotonic() - started
    rng, killed = random.Random(0), 0
    for trial in range(20):
        folder = tmp_path / str(trial)
        killed += _front(folder, rng.uniform(0.3, 0.95) * longest_s) is None
        assert _front(folder, None) == whole, trial
    assert killed >= 12


def _front(folder: Path, kill_after_s: float | None) -> object:
    """The front of a run, or None where it was killed before its end."""
    folder.mkdir(exist_ok=True)
    root = Path(__file__).parents[2]
    env = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    process = subprocess.Popen([sys.executable, "-c", _SCRIPT, str(folder)], cwd=root, env=env)
    try:
        process.wait(kill_after_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return None
    assert process.returncode == 0
    return json.loads((folder / "front.json").read_text())
