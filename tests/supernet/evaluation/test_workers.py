"""The same accuracies from threads and from processes, and what happens to those that fail."""

import os
import shutil
import signal
import socket
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image

from hwnas.data import Dataset, get_dataset
from hwnas.errors import InputError, UnavailableError
from hwnas.progress import Stopped, keep_each
from hwnas.spaces import Candidates, MobileNetSpace
from hwnas.supernet import (
    Evaluation,
    Evaluator,
    Processes,
    RayCluster,
    Threads,
    Workers,
    evaluate_many,
    local_workers,
    usable_torch_device,
)
from hwnas.supernet.evaluation.crew import Ready, Work, Worker
from hwnas.supernet.evaluation.ray_cluster import _Actor, _versions
from tests.supernet.conftest import telling


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of small noisy images."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("images")
    for label, name in enumerate(("red", "green", "blue")):
        (path / name).mkdir()
        for number in range(30):
            pixels = rng.integers(0, 200, (24, 24, 3))
            pixels[:, :, label] += 20
            Image.fromarray(pixels.astype(np.uint8)).save(path / name / f"{number}.png")
    return path


@pytest.fixture
def images(folder: Path) -> Dataset:
    return get_dataset(f"imagefolder:{folder}")


@pytest.fixture
def evaluator(space: MobileNetSpace, images: Dataset) -> Evaluator:
    return Evaluator(telling(space), images, workers=2)


def some(space: MobileNetSpace, n: int) -> Candidates:
    return Candidates.of_architectures(space, space.sample(n, np.random.default_rng(1)))


def found(evaluator: Evaluator, candidates: Candidates, workers: Workers | None = None) -> list[object]:
    return sorted(evaluate_many(evaluator, candidates, "validate", workers), key=lambda one: one.id)


def test_processes_give_what_threads_give_though_one_is_killed(evaluator: Evaluator) -> None:
    candidates = some(evaluator.supernet.space, 16)
    expected = found(evaluator, candidates)
    assert [one.id for one in expected] == sorted(candidates.ids)
    assert len({one.accuracy_top1 for one in expected}) > 1
    stream = evaluate_many(evaluator, candidates, "validate", Processes(2))
    results = [next(stream)]
    os.kill(psutil.Process().children()[0].pid, signal.SIGKILL)
    results += stream
    assert sorted(results, key=lambda one: one.id) == expected
    assert psutil.Process().children() == []


def test_an_error_in_a_process_is_said_here(
    evaluator: Evaluator, folder: Path, tmp_path: Path, space: MobileNetSpace
) -> None:
    moved = shutil.copytree(folder, tmp_path / "moved")
    evaluator = Evaluator(telling(space), get_dataset(f"imagefolder:{moved}"))
    shutil.rmtree(moved)
    with pytest.raises(InputError, match="does not exist"):
        found(evaluator, some(space, 2), Processes(1))


def test_other_data_under_the_same_name_are_refused(
    evaluator: Evaluator, folder: Path, tmp_path: Path, space: MobileNetSpace
) -> None:
    moved = shutil.copytree(folder, tmp_path / "moved")
    work = Work.of(Evaluator(telling(space), get_dataset(f"imagefolder:{moved}")), "validate")
    (moved / "red" / "0.png").unlink()
    with pytest.raises(InputError, match="must have the fingerprint"):
        Worker(work)


def test_a_space_that_cannot_be_sent_is_refused(evaluator: Evaluator) -> None:
    evaluator.supernet.space.helper = lambda: None  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="cannot be sent to another process"):
        found(evaluator, some(evaluator.supernet.space, 2), Processes(2))


def test_a_limit_takes_the_first_images(evaluator: Evaluator, space: MobileNetSpace, images: Dataset) -> None:
    limited = Evaluator(evaluator.supernet, images, images=5)
    [one] = found(limited, some(space, 1))
    assert (limited.num_images("validate"), one.n) == (5, 5)
    assert Evaluator(evaluator.supernet, images, images=10_000).num_images("test") == 9


@pytest.mark.parametrize("wrong", [{"images": 0}, {"batch_size": 0}, {"calibrate_images": 0}])
def test_numbers_below_one_are_refused(space: MobileNetSpace, images: Dataset, wrong: dict[str, int]) -> None:
    with pytest.raises(InputError, match="must be at least 1"):
        Evaluator(telling(space), images, **wrong)


def test_an_empty_split_is_refused_at_once(evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Evaluator, "num_images", lambda *_: 0)
    with pytest.raises(InputError, match=r"validate split .* has no images"):
        found(evaluator, some(evaluator.supernet.space, 1))


# Where


def test_threads_unless_a_number_is_given(evaluator: Evaluator) -> None:
    assert local_workers(evaluator) == Threads()
    assert local_workers(evaluator, 3) == Processes(3)


def test_one_process_a_gpu(evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    object.__setattr__(evaluator.settings, "torch_device", "cuda")
    assert local_workers(evaluator) == Processes(2, ("4", "7"))
    object.__setattr__(evaluator.settings, "torch_device", "cuda:1")
    assert local_workers(evaluator) == Threads()
    assert local_workers(evaluator, 2) == Processes(2, ("7",))


@pytest.mark.parametrize("text", ["gpu", "cuda:", "cuda:x", "cpu:0", ""])
def test_a_torch_device_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="must be cpu, cuda, cuda:NUMBER or auto"):
        usable_torch_device(text)


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert usable_torch_device("cuda:0") == "cuda:0"
    with pytest.raises(UnavailableError, match="torch sees 1 GPUs"):
        usable_torch_device("cuda:1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert usable_torch_device("auto") == "cpu"


# Ray, as far as it need not be there; tests/cli/test_evaluate.py starts one


def test_without_ray_the_extra_is_named(evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UnavailableError, match=r"pip install 'hwnas\[ray\]=="):
        found(evaluator, some(evaluator.supernet.space, 1), RayCluster("local"))


def test_a_cluster_that_does_not_answer_is_refused_soon(evaluator: Evaluator) -> None:
    pytest.importorskip("ray")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}"):
        with pytest.raises(InputError, match=f"no Ray cluster answers at '{address}'"):
            found(evaluator, some(evaluator.supernet.space, 1), RayCluster(address))
    with pytest.raises(InputError, match="--ray must be local, auto, HOST:PORT"):
        found(evaluator, some(evaluator.supernet.space, 1), RayCluster("somewhere"))


def test_a_ray_worker_of_another_version_is_refused(evaluator: Evaluator) -> None:
    answer = _Actor().open(Work.of(evaluator, "validate"), {"hwnas": "0.0", "torch": "1.0"}, ".")
    assert isinstance(answer, InputError)
    assert "must have hwnas 0.0, torch 1.0 as here, but has hwnas" in str(answer)
    assert "pip install 'hwnas[ray]" in str(answer)


def test_a_ray_worker_says_which_machine_lacks_the_data(
    evaluator: Evaluator, folder: Path, tmp_path: Path, space: MobileNetSpace
) -> None:
    moved = shutil.copytree(folder, tmp_path / "moved")
    work = Work.of(Evaluator(telling(space), get_dataset(f"imagefolder:{moved}")), "validate")
    assert isinstance(_Actor().open(work, _versions(), str(Path.cwd())), Ready)
    shutil.rmtree(moved)
    answer = _Actor().open(work, _versions(), str(Path.cwd()))
    assert isinstance(answer, InputError)
    assert f"Ray worker on {socket.gethostname()}: image folder {moved} does not exist" in str(answer)


def test_ray_takes_no_single_gpu(evaluator: Evaluator) -> None:
    with pytest.raises(InputError, match="must be cpu, cuda or auto"):
        found(evaluator, some(evaluator.supernet.space, 1), RayCluster("local", 1, "cuda:1"))


def test_threads_asked_to_stop_hand_on_what_they_have_begun(
    space: MobileNetSpace, evaluator: Evaluator
) -> None:
    candidates = some(space, 12)
    for source in (evaluate_many(evaluator, candidates), evaluator.stream(candidates)):
        kept: list[str] = []

        def keep(one: Evaluation, kept: list[str] = kept) -> None:
            kept.append(one.id)
            raise Stopped

        with pytest.raises(Stopped):
            keep_each(source, keep)
        assert 1 <= len(kept) < len(candidates)
        assert len(set(kept)) == len(kept)
