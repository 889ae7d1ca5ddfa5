"""A sample of what `python -m tests.fuzz` does, and that its watch notices what it is there for."""

import os
import subprocess
import sys
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from hwnas.errors import HwnasError

from .__main__ import fuzz, row
from .reader import mutated
from .readers import READERS

# Of each reader, in this process; the command takes thousands, in processes with capped memory.
_FILES = 15


@cache
def valid(name: str) -> dict[str, bytes]:
    """Returns the valid files of a reader; to make some takes a fit."""
    return READERS[name].valid()


@pytest.mark.parametrize("name", READERS)
def test_a_spoilt_file_is_read_or_refused_in_one_line(name: str, tmp_path: Path) -> None:
    reader, refused = READERS[name], 0
    for seed in range(_FILES):
        folder = tmp_path / str(seed)
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        for file, content in mutated(reader, valid(name), rng).items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(content)
        try:
            reader.use(folder)
        except HwnasError as error:
            refused += 1
            message = str(error)
            assert len(message) < 2100
    assert refused > _FILES // 5
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(map(str, range(_FILES)))


@pytest.mark.parametrize("name", READERS)
def test_every_way_to_spoil_a_file_changes_it(name: str) -> None:
    reader, files = READERS[name], valid(name)
    spoilt = [mutated(reader, files, np.random.default_rng(seed)) for seed in range(20)]
    assert sum(any(files[one] != content for one, content in some.items()) for some in spoilt) >= 15


@pytest.mark.parametrize("name", ["supernet", "checkpoint", "predictor-encoder", "training"])
def test_a_valid_file_is_the_same_each_time(name: str) -> None:
    # Else a recorded seed would not make the file again that was tried.
    assert READERS[name].valid() == valid(name)


def test_the_command_goes_on_where_it_was_stopped_and_counts(tmp_path: Path) -> None:
    results = tmp_path / "space.jsonl"
    first = fuzz("space", 0, 3, results)
    results.write_text(results.read_text().replace('"refused"', '"read"'))
    again = fuzz("space", 0, 5, results)
    results.write_text(results.read_text().replace('"code": "', '"code": "other '))
    assert len(fuzz("space", 0, 1, results)) == 1
    assert len(results.read_text().splitlines()) == 2
    assert [entry["seed"] for entry in again] == [0, 1, 2, 3, 4]
    assert all(entry["said"] == "read" for entry in again[: len(first)])
    assert row("space", again).startswith("| space | 5 | 0–4 |")


def test_the_watch_tells_of_writes_outside_processes_and_pickles(tmp_path: Path) -> None:
    # An audit hook cannot be taken off again, so it gets a process of its own.
    code = f"""
import os, pickle, subprocess
from pathlib import Path
from tests.fuzz.child import Watch
watch = Watch(Path({str(tmp_path / "in")!r}))
watch.on = True
open({str(tmp_path / "in" / "a")!r}, "w").close()
assert not watch.seen, watch.seen
open({str(tmp_path / "out")!r}, "w").close()
os.mkdir({str(tmp_path / "folder")!r})
subprocess.run(["true"])
pickle.loads(pickle.dumps(Path))
watch.on = False
print("\\n".join(watch.seen))
"""
    (tmp_path / "in").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stderr
    for event in ("writes", "os.mkdir", "subprocess.Popen", "pickle.find_class"):
        assert event in ran.stdout
