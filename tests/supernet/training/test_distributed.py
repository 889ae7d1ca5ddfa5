"""Two processes do what one does; when one of them is killed, the job says so and goes on."""

import ast
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from hwnas.errors import InputError
from hwnas.supernet import load_supernet
from hwnas.supernet.training.checkpoint import save_checkpoint
from hwnas.supernet.training.distributed import ONE_PROCESS, Group, launched, process_device
from hwnas.supernet.training.feed import Feed
from hwnas.supernet.training.trainer import Trainer
from tests.supernet.conftest import colours
from tests.supernet.ranks import HALFWAY, RECIPES, SGD, SPACE, normed, run

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
ROOT = Path(__file__).parents[2]
YAML = """
name: small
image_sizes: [16, 24]
stem: {width: 8}
stages:
  - {width: 16, depth: [1, 2], kernel: [3, 5], expand: [2, 3], stride: 2, se: true}
head: {width: 24}
"""


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def assert_alike(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    """Every tensor agrees to 1e-4 of its largest number; those near 0 to 1e-6."""
    for name, tensor in wanted.items():
        tolerance = max(1e-4 * float(tensor.abs().max()), 1e-6)
        assert float((found[name] - tensor).abs().max()) <= tolerance, name


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which two processes left their results."""
    folder = tmp_path_factory.mktemp("two")
    one = Trainer(SPACE, colours(), SGD)
    while one.step < HALFWAY:
        one.advance()
    save_checkpoint(folder / "one.checkpoint", one.checkpoint({}))
    words = [*TORCHRUN, "-m", "tests.supernet.ranks", str(folder)]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_shared_batch_is_normalised_as_a_whole(two: Path) -> None:
    wanted = normed(functional.batch_norm, slice(None))
    ranks = [torch.load(two / f"norm{rank}.pt", weights_only=True) for rank in (0, 1)]
    for name in ("y", "still", "x"):
        torch.testing.assert_close(torch.cat([rank[name] for rank in ranks]), wanted[name])
    for name in ("weight", "bias"):
        torch.testing.assert_close(ranks[0][name] + ranks[1][name], wanted[name])
    for rank in ranks:
        torch.testing.assert_close(rank["mean"], wanted["mean"])
        torch.testing.assert_close(rank["var"], wanted["var"])


@pytest.mark.parametrize("name", RECIPES)
def test_two_processes_train_as_one(two: Path, name: str) -> None:
    wanted = run(RECIPES[name], ONE_PROCESS).trained().state_dict()
    assert_alike(torch.load(two / f"{name}.0.pt", weights_only=True), wanted)


def test_processes_agree_to_the_last_bit(two: Path) -> None:
    digests = [ast.literal_eval((two / f"digests{rank}.txt").read_text()) for rank in (0, 1)]
    assert digests[0] == digests[1]
    assert set(digests[0]) == {*RECIPES, "parameters"}


def test_one_process_goes_on_from_two_and_two_from_one(two: Path) -> None:
    wanted = run(SGD, ONE_PROCESS).trained().state_dict()
    went_on = run(SGD, ONE_PROCESS, start=two / "sandwich.checkpoint").trained()
    assert_alike(went_on.state_dict(), wanted)
    assert_alike(torch.load(two / "went_on.0.pt", weights_only=True), wanted)


def test_each_process_has_its_part_of_the_same_images() -> None:
    split = colours().split("train")

    def fed(group: Group) -> Feed:
        return Feed(split, SGD, 24, group=group, torch_device="cpu", workers=0)

    whole, parts = fed(ONE_PROCESS), [fed(Group(rank, 2)) for rank in (0, 1)]
    for step in (0, 1, 2, 7, 3):
        x, y = whole.at(step)
        halves = [part.at(step) for part in parts]
        assert torch.equal(torch.cat([half[0] for half in halves]), x)
        assert torch.equal(torch.cat([half[1] for half in halves]), y)


def test_a_batch_that_cannot_be_shared_evenly_is_refused() -> None:
    with pytest.raises(InputError, match=r"32 images a step cannot be shared evenly by 3 processes"):
        Trainer(SPACE, colours(), SGD, group=Group(0, 3))


def test_fp16_needs_a_gpu() -> None:
    with pytest.raises(InputError, match="fp16 needs a GPU, but training is on 'cpu'"):
        Trainer(SPACE, colours(), replace(SGD, precision="fp16"))


def test_torchrun_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "3")
    assert not launched()
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert launched()
    assert process_device("cpu") == "cpu"


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a space and images."""
    folder = tmp_path_factory.mktemp("job")
    (folder / "space.yaml").write_text(YAML)
    rng = np.random.default_rng(0)
    for label, name in enumerate(("red", "green", "blue")):
        for number in range(30):
            pixels = rng.integers(0, 200, (24, 24, 3))
            pixels[:, :, label] += 55
            path = folder / "images" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(path)
    return folder


def words(folder: Path, output: Path, epochs: int = 4) -> list[str]:
    return [
        *TORCHRUN,
        *("-m", "hwnas", "train", "--space", str(folder / "space.yaml"), "-o", str(output)),
        *("--data", f"imagefolder:{folder / 'images'}", "--epochs", str(epochs), "--batch-size", "16"),
        *("--optimizer", "sgd", "--learning-rate", "0.02", "--workers", "0", "--checkpoint-every", "1ms"),
    ]


def killed(folder: Path, output: Path, victim: int, epochs: int = 4) -> tuple[str, int]:
    """Kills a rank after two epochs; returns stderr and the exit code."""
    process = subprocess.Popen(
        words(folder, output, epochs), env=environment(), stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    seen = ""
    while "epoch 2/" not in seen:
        line = process.stderr.readline()
        assert line, seen
        seen += line
    os.kill(pid_of_rank(process.pid, victim), signal.SIGKILL)
    return seen + process.communicate(timeout=60)[1], process.returncode


def pid_of_rank(parent: int, rank: int) -> int:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    for pid in map(int, children.split()):
        if f"RANK={rank}" in Path(f"/proc/{pid}/environ").read_text().split("\0"):
            return pid
    raise AssertionError(f"no process of rank {rank}")


def test_a_killed_rank_ends_the_job_and_the_same_command_goes_on(job: Path, tmp_path: Path) -> None:
    output = tmp_path / "net.safetensors"
    stderr, code = killed(job, output, victim=1)
    assert code != 0
    told = re.findall(
        r"^hwnas: a process of the training job ended; repeat the same command to go on from step (\d+)$",
        stderr,
        re.MULTILINE,
    )
    assert len(told) == 1, stderr
    assert int(told[0]) >= 4  # steps an epoch
    assert not output.exists()
    again = finished(job, output)
    assert "epoch 1/" not in again
    assert again.count("epoch 4/4") == 1  # one process alone speaks
    assert [path.name for path in tmp_path.iterdir() if "checkpoint" in path.name] == []


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_job_ends_as_an_unbroken_one_to_the_last_bit(job: Path, tmp_path: Path, victim: int) -> None:
    whole, broken = tmp_path / "whole.safetensors", tmp_path / "broken.safetensors"
    stderr, code = killed(job, broken, victim)
    assert code != 0
    assert stderr.count("hwnas: a process of the training job ended") == 1
    finished(job, whole)
    finished(job, broken)
    assert load_supernet(broken).digest() == load_supernet(whole).digest()


def finished(folder: Path, output: Path) -> str:
    """Returns stderr of a job that runs to its end."""
    done = subprocess.run(
        words(folder, output), env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.slow
def test_bad_input_is_said_once(job: Path, tmp_path: Path) -> None:
    odd = [word if word != "16" else "15" for word in words(job, tmp_path / "net.safetensors")]
    done = subprocess.run(odd, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stderr.count("hwnas: 15 images a step cannot be shared evenly by 2 processes") == 1
