"""`kill -9` at random moments, then the same command: the same result, nothing repeated, nothing torn."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from hwnas.supernet import load_supernet

pytestmark = pytest.mark.slow


def run_killed(words: list[str], kills: int, longest_s: float, home: Path, seed: int) -> int:
    """Starts a command again and again, kills it at random moments, lets it end; returns the kills made."""
    rng = random.Random(seed)
    environment = {**os.environ, "HWNAS_HOME": str(home), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "hwnas", *words]
    made = 0
    for _ in range(kills):
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            process.wait(rng.uniform(0.5, longest_s))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            made += 1
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return made


def front_of(folder: Path) -> object:
    front = json.loads((folder / "front.json").read_text())
    return front["candidates"], front["hypervolume"]


def rows_by_subject(store: Path) -> list[tuple[str, int]]:
    with sqlite3.connect(store) as connection:
        return connection.execute(
            "SELECT fingerprint || subject, COUNT(*) FROM measurements GROUP BY 1 HAVING COUNT(*) > 1"
        ).fetchall()


def torn(folder: Path) -> list[str]:
    return [
        str(path) for path in folder.rglob("*") if path.suffix == ".json" and not json.loads(path.read_text())
    ]


def test_profile_killed_ten_times_repeats_no_measurement(tmp_path: Path) -> None:
    words = ["profile", "--device", "cpu-ort", "--samples", "150", "--json"]
    made = run_killed(words, kills=10, longest_s=5, home=tmp_path, seed=1)
    assert made >= 5
    assert rows_by_subject(tmp_path / "measurements.sqlite") == []
    again = subprocess.run(
        [sys.executable, "-m", "hwnas", *words],
        env={**os.environ, "HWNAS_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(again.stdout)["measured"] == 150
    assert rows_by_subject(tmp_path / "measurements.sqlite") == []


def test_search_killed_ten_times_ends_like_an_unbroken_one(tmp_path: Path) -> None:
    words = ["search", "--target-latency", "25ms", "--device", "cpu-ort", "--no-export"]
    words += ["--samples", "16", "--evaluations", "24"]
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    started = time.monotonic()
    made = run_killed([*words, "-o", str(broken)], kills=10, longest_s=12, home=tmp_path, seed=2)
    assert made >= 5, time.monotonic() - started
    run_killed([*words, "-o", str(whole)], kills=0, longest_s=0, home=tmp_path, seed=0)
    assert front_of(broken) == front_of(whole)
    assert rows_by_subject(tmp_path / "measurements.sqlite") == []
    assert torn(broken) == []


def test_training_killed_ten_times_gives_the_same_weights(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]:
        content = rng.integers(0, 256, (200, 3073), dtype=np.uint8)
        content[:, 0] = rng.integers(0, 10, 200)
        (folder / name).write_bytes(content.tobytes())
    words = [
        "train",
        "--data",
        f"cifar10:{folder}",
        "--epochs",
        "3",
        "--batch-size",
        "16",
        "--threads",
        "1",
        "-o",
    ]
    broken, whole = tmp_path / "broken.safetensors", tmp_path / "whole.safetensors"
    made = run_killed([*words, str(broken)], kills=10, longest_s=15, home=tmp_path, seed=3)
    assert made >= 3
    run_killed([*words, str(whole)], kills=0, longest_s=0, home=tmp_path, seed=0)
    # Not the bytes: the library that writes the file puts its metadata in any order.
    one, other = load_supernet(broken), load_supernet(whole)
    assert one.digest() == other.digest()
    assert one.info == other.info
