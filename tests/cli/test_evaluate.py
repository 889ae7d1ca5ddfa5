"""`hwnas evaluate` as a user runs it: killed, interrupted, on a Ray cluster."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest

from hwnas.data import get_dataset
from hwnas.spaces import Candidates, get_space
from hwnas.supernet import Evaluator, Supernet, SupernetInfo, evaluate_many, save_supernet

from .conftest import Ran

# Enough that a command is still at work when a signal reaches it on a busy machine.
N = 150


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command, with a supernet of random weights and CIFAR-10's files with a few records."""
    folder = tmp_path_factory.mktemp("cifar-10-batches-bin")
    rng = np.random.default_rng(0)
    for name in [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]:
        content = rng.integers(0, 256, (200, 3073), dtype=np.uint8)
        content[:, 0] = rng.integers(0, 10, 200)
        (folder / name).write_bytes(content.tobytes())
    made = Supernet(get_space("demo"))
    made.info = SupernetInfo(
        space="demo", num_classes=10, image_sizes=(32, 48), recipe={}, data="cifar10", data_fingerprint="none"
    )
    path = folder / "random.safetensors"
    save_supernet(made, path)
    some = ["evaluate", str(path), "--data", f"cifar10:{folder}", "--sample", str(N)]
    return [*some, "--images", "60", "--calibrate-images", "40", "--batch-size", "30"]


@pytest.fixture(scope="module")
def expected(words: list[str]) -> dict[str, float]:
    """What one thread of this process finds."""
    from hwnas.supernet import load_supernet

    space = get_space("demo")
    evaluator = Evaluator(
        load_supernet(Path(words[1])),
        get_dataset(words[3]),
        images=60,
        calibrate_images=40,
        batch_size=30,
        workers=1,
    )
    some = Candidates.of_architectures(space, space.sample(N, np.random.default_rng(0)))
    return {one.id: one.accuracy_top1 for one in evaluate_many(evaluator, some)}


@contextmanager
def started(words: list[str], home: Path) -> Iterator[psutil.Popen]:
    """Yields the command, running; it is gone afterwards, with all it started."""
    process = psutil.Popen(
        [sys.executable, "-m", "hwnas", *words],
        env={**os.environ, "HWNAS_HOME": str(home), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Where the tests run in the background, they ignore interrupts, and so would the command.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield process
    finally:
        left = process.children(recursive=True) if process.is_running() else []
        for one in [process, *left]:
            if one.is_running():
                one.kill()
        process.wait()
        process.stderr.close()


def wait_for(condition: Callable[[], object], process: psutil.Popen) -> None:
    until = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.01)


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def ray_actors(process: psutil.Popen) -> list[psutil.Process]:
    """Returns the actors that evaluate for a command: Ray gives its processes telling titles."""
    children = process.children(recursive=True)
    return [one for one in children if "".join(one.cmdline()[:1]).startswith("ray::_Actor")]


def accuracies(path: Path) -> dict[str, float]:
    rows = list(csv.DictReader(path.read_text().splitlines()))
    found = {row["id"]: float(row["accuracy_top1"]) for row in rows}
    assert len(found) == len(rows), "a row is there twice"
    return found


def test_killed_with_its_processes_it_goes_on(
    hwnas: Callable[..., Ran], words: list[str], expected: dict[str, float], tmp_path: Path
) -> None:
    path = tmp_path / "results.csv"
    command = [*words, "-o", str(path), "--workers", "2"]
    with started(command, tmp_path) as process:
        wait_for(lambda: lines(path) > 3, process)
        workers = process.children()
        process.kill()
        process.wait()
        _, alive = psutil.wait_procs(workers, 30)
    assert alive == [], "workers outlive the command"
    first = accuracies(path)
    assert 3 <= len(first) < len(expected)
    with started(command, tmp_path) as process:
        wait_for(lambda: lines(path) > len(first) + 2, process)
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
        err = process.stderr.read()
    assert err.splitlines()[-1] == "hwnas: interrupted; repeat the same command to resume"
    assert "Traceback" not in err
    second = accuracies(path)
    assert first.items() < second.items() < expected.items()
    ran = hwnas(*words, "-o", path)
    assert ran.code == 0, ran.err
    assert accuracies(path) == expected


def test_interrupted_threads_leave_a_good_file(
    words: list[str], expected: dict[str, float], tmp_path: Path
) -> None:
    path = tmp_path / "results.csv"
    with started([*words, "-o", str(path)], tmp_path) as process:
        wait_for(lambda: lines(path) > 2, process)
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
    assert accuracies(path).items() < expected.items()


def test_a_ray_worker_killed_costs_no_row_and_doubles_none(
    words: list[str], expected: dict[str, float], tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    path = tmp_path / "results.csv"
    with started([*words, "-o", str(path), "--ray", "local", "--workers", "2"], tmp_path) as process:
        wait_for(lambda: lines(path) > 3, process)
        wait_for(lambda: ray_actors(process), process)
        ray_actors(process)[0].kill()
        assert lines(path) <= N, "it was over before the worker was killed"
        assert process.wait() == 0, process.stderr.read()
    assert accuracies(path) == expected


def test_json_gives_each_candidate_in_order(
    hwnas: Callable[..., Ran], words: list[str], expected: dict[str, float]
) -> None:
    ran = hwnas(*words, "--json")
    assert ran.code == 0, ran.err
    rows = json.loads(ran.out)
    assert [row["id"] for row in rows] == list(dict.fromkeys(row["id"] for row in rows))
    assert {row["id"]: row["accuracy_top1"] for row in rows} == expected
    assert {row["n"] for row in rows} == {60}


def test_a_long_table_beside_a_file_shows_the_best(
    hwnas: Callable[..., Ran], words: list[str], expected: dict[str, float], tmp_path: Path
) -> None:
    some = [*words, "--architecture", "smallest", "--architecture", "largest", "-o", tmp_path / "results.csv"]
    ran = hwnas(*some)
    assert ran.code == 0, ran.err
    assert len(ran.out.splitlines()) == 1 + 20
    assert f"the 20 most accurate of {N + 2}" in ran.err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--torch-device", "gpu"), "must be cpu, cuda, cuda:NUMBER or auto"),
        (("--ray", "nowhere"), "--ray must be local, auto, HOST:PORT"),
        (("--images", "0"), "--images"),
        (("--workers", "0"), "--workers"),
        (("--split", "train"), "--split must be validate or test"),
    ],
)
def test_bad_options_are_refused(
    hwnas: Callable[..., Ran], words: list[str], more: tuple[str, ...], said: str
) -> None:
    ran = hwnas(*words, *more)
    assert ran.code == 2
    assert said in ran.err.splitlines()[-1]


def test_a_word_that_names_no_architecture_is_answered_with_those_that_do() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "hwnas", "evaluate", "--architecture", "largst"],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 2
    assert "must be an architecture as JSON, smallest or largest, but got 'largst'" in ran.stderr
