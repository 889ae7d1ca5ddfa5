import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hwnas import progress
from hwnas.data.augment import Augmentation
from hwnas.errors import InputError
from hwnas.spaces import MobileNetSpace
from hwnas.supernet import (
    Alone,
    Attentive,
    Fair,
    Sandwich,
    Survey,
    TrainProgress,
    TrainRecipe,
    load_supernet,
    preset,
    read_info,
    train,
)
from hwnas.supernet.training.checkpoint import load_checkpoint, save_checkpoint, saved_step
from hwnas.supernet.training.trainer import Trainer
from tests.supernet.conftest import TINY

RECIPE = TrainRecipe(
    epochs=3, batch_size=16, optimizer="adamw", learning_rate=5e-3, sampling=Sandwich(num_random=1)
)


class Stopped(Exception):
    """Stands for a power cut."""


def stop_at(step: int):
    def progress(done: TrainProgress) -> None:
        if done.step == step:
            raise Stopped

    return progress


def test_a_wish_to_stop_leaves_all_steps_in_the_checkpoint(space, dataset, tmp_path: Path) -> None:
    def wish(done: TrainProgress) -> None:
        if done.step == 3:
            raise progress.Stopped

    output = tmp_path / "supernet.safetensors"
    with pytest.raises(progress.Stopped):
        train(space, dataset, RECIPE, output, wish, checkpoint_seconds=1e9)
    assert saved_step(tmp_path / "supernet.safetensors.checkpoint") == 3


def test_a_checkpoint_beside_a_complete_supernet_is_removed(space, dataset, tmp_path: Path) -> None:
    output = tmp_path / "supernet.safetensors"
    train(space, dataset, replace(RECIPE, epochs=1), output)
    left = tmp_path / "supernet.safetensors.checkpoint"
    left.touch()
    train(space, dataset, replace(RECIPE, epochs=1), output)
    assert not left.exists()


@pytest.mark.parametrize(
    "recipe",
    [
        RECIPE,
        replace(RECIPE, optimizer="sgd", ema_decay=0.9, gradient_clip=None, augmentation=Augmentation()),
    ],
    ids=["adamw", "sgd-ema"],
)
def test_a_stopped_run_ends_as_an_unbroken_one(space, dataset, tmp_path: Path, recipe) -> None:
    whole = train(space, dataset, recipe, tmp_path / "whole.safetensors")
    broken = tmp_path / "broken.safetensors"
    for step in (4, 6, 11):  # six steps an epoch: within one, at its end, and later
        with pytest.raises(Stopped):
            train(space, dataset, recipe, broken, stop_at(step), checkpoint_seconds=0)
        assert not broken.exists()
    train(space, dataset, recipe, broken)
    assert load_supernet(broken, space).digest() == load_supernet(whole, space).digest()
    assert read_info(broken) == read_info(whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == [broken.name, whole.name]


def test_a_second_training_of_the_same_output_is_refused(space, dataset, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("hwnas.supernet.training.train._ORPHANS_S", 0.0)
    output, said = tmp_path / "net.safetensors", []

    def second(state: TrainProgress) -> None:
        if state.step == 1:
            with pytest.raises(InputError, match="is being trained by another process; wait") as refusal:
                train(space, dataset, RECIPE, output)
            said.append(str(refusal.value))
            train(space, dataset, RECIPE, tmp_path / "other.safetensors")

    train(space, dataset, RECIPE, output, second)
    assert len(said) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [output.name, "other.safetensors"]


def test_an_output_that_another_process_completes_meanwhile_is_not_trained_again(
    space, dataset, tmp_path, monkeypatch
) -> None:
    recipe, output, steps = replace(RECIPE, epochs=1), tmp_path / "net.safetensors", []
    train(space, dataset, recipe, tmp_path / "other.safetensors")

    @contextmanager
    def waiting(path: Path, wait_s: float) -> Iterator[None]:
        shutil.copy(tmp_path / "other.safetensors", output)
        yield

    monkeypatch.setattr("hwnas.supernet.training.train.held", waiting)
    assert train(space, dataset, recipe, output, steps.append) == output
    assert not steps
    output.unlink()
    with pytest.raises(InputError, match="holds a supernet of another recipe: seed is 0, not 1"):
        train(space, dataset, replace(recipe, seed=1), output)


SMALL_SURVEY = Attentive(num_candidates=8, survey=Survey(start=0.3, networks=6, images=32))


@pytest.mark.parametrize(
    "changes",
    [
        {"progressive": True},
        {"progressive": True, "ema_decay": 0.9},
        {"sampling": SMALL_SURVEY},
        {"sampling": SMALL_SURVEY, "ema_decay": 0.9, "distillation": 0.5, "transform_rate": 0.1},
        {"sampling": Fair()},
        {"sampling": Alone(any_size=True), "dropout": 0.2, "optimizer": "sgd"},
        {"optimizer": "muon"},
        {"precision": "bf16"},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_every_recipe_resumes_to_the_last_bit(space, dataset, tmp_path: Path, changes) -> None:
    own = {name: value for name, value in changes.items() if name != "progressive"}
    progressive = replace(preset("progressive", space, 5), batch_size=16)
    recipe = replace(progressive if "progressive" in changes else RECIPE, **own)
    whole = Trainer(space, dataset, recipe)
    steps = whole.steps
    stops = {1, 5, 7, 11, *range(0, steps, whole.steps_per_epoch)}  # within epochs and between phases
    while whole.step < steps:
        whole.advance()
    broken = Trainer(space, dataset, recipe)
    path = tmp_path / "checkpoint"
    while broken.step < steps:
        if broken.step in stops:
            save_checkpoint(path, broken.checkpoint({"run": 1}))
            broken = Trainer(space, dataset, recipe)
            found = load_checkpoint(path, {"run": 1})
            assert found is not None
            broken.restore(found)
        broken.advance()
    assert broken.trained().digest() == whole.trained().digest()


def test_a_run_without_a_checkpoint_yet_starts_again(space, dataset, tmp_path: Path) -> None:
    output = tmp_path / "net.safetensors"
    with pytest.raises(Stopped):
        train(space, dataset, RECIPE, output, stop_at(5), checkpoint_seconds=3600)
    steps: list[int] = []
    train(space, dataset, RECIPE, output, lambda done: steps.append(done.step))
    assert steps == list(range(1, 19))


def test_a_killed_process_resumes_from_its_checkpoint(space, dataset, tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from tests.supernet.conftest import TINY, colours
from tests.supernet.training.test_train import RECIPE
from hwnas.spaces import MobileNetSpace
from hwnas.supernet import train
train(MobileNetSpace(TINY, 3), colours(), RECIPE, Path(sys.argv[1]),
      lambda done: print(done.step, flush=True), checkpoint_seconds=0)
"""
    output = tmp_path / "killed.safetensors"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(output)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= 7:
                os.kill(process.pid, signal.SIGKILL)
                break
    assert not output.exists()
    first: list[int] = []
    train(space, dataset, RECIPE, output, lambda done: first.append(done.step))
    assert first[0] >= 7
    whole = train(space, dataset, RECIPE, tmp_path / "whole.safetensors")
    assert load_supernet(output, space).digest() == load_supernet(whole, space).digest()


def test_training_learns(space, dataset, tmp_path: Path) -> None:
    losses: list[float] = []
    recipe = replace(RECIPE, epochs=6)
    path = train(space, dataset, recipe, tmp_path / "net.safetensors", lambda done: losses.append(done.loss))
    assert sum(losses[-6:]) < 0.7 * sum(losses[:6])
    info = read_info(path)
    assert info.metrics["accuracy_top1_largest"] > 60
    assert info.recipe == recipe.to_json()
    assert (info.data, info.data_fingerprint) == ("colours", "0123456789abcdef")


def test_progress_tells_how_far_it_is(space, dataset, tmp_path: Path) -> None:
    seen: list[TrainProgress] = []
    train(space, dataset, replace(RECIPE, epochs=2), tmp_path / "net.safetensors", seen.append)
    assert [(p.step, p.epoch) for p in (seen[0], seen[5], seen[6], seen[-1])] == [
        (1, 1),
        (6, 1),
        (7, 2),
        (12, 2),
    ]
    assert all(p.steps == 12 and p.epochs == 2 and p.images_per_second > 0 for p in seen)


def test_a_complete_output_is_left_as_it_is(space, dataset, tmp_path: Path) -> None:
    output = tmp_path / "net.safetensors"
    recipe = replace(RECIPE, epochs=1)
    train(space, dataset, recipe, output)
    before = output.read_bytes()
    train(space, dataset, recipe, output, stop_at(1))
    assert output.read_bytes() == before
    with pytest.raises(
        InputError, match="holds a supernet of another recipe: epochs is 1, not 3; name another output"
    ):
        train(space, dataset, RECIPE, output)


def test_a_checkpoint_of_another_run_is_refused(space, dataset, tmp_path: Path) -> None:
    output = tmp_path / "net.safetensors"
    with pytest.raises(Stopped):
        train(space, dataset, RECIPE, output, stop_at(1))
    with pytest.raises(InputError, match="of a run with another recipe: seed is 0, not 1; delete it"):
        train(space, dataset, replace(RECIPE, seed=1), output)
    with pytest.raises(InputError, match="of a run with another data_fingerprint"):
        train(space, replace(dataset, fingerprint="f" * 16), RECIPE, output)


def test_a_checkpoint_is_loadable_without_running_code(space, dataset, tmp_path: Path) -> None:
    output = tmp_path / "net.safetensors"
    with pytest.raises(Stopped):
        train(space, dataset, RECIPE, output, stop_at(2), checkpoint_seconds=0)
    state = torch.load(tmp_path / "net.safetensors.checkpoint", weights_only=True)
    assert state["step"] == 1  # the second step stopped before its checkpoint


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04torn", b"something else"])
def test_a_damaged_checkpoint_is_refused(space, dataset, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "net.safetensors.checkpoint").write_bytes(content)
    with pytest.raises(InputError, match="not a checkpoint this version can read"):
        train(space, dataset, RECIPE, tmp_path / "net.safetensors")


def test_an_unwritable_folder_is_refused_before_training(space, dataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        train(space, dataset, RECIPE, tmp_path / "file" / "net.safetensors", stop_at(1))


def test_data_of_other_classes_are_refused(dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="space has 5 classes, but the data set 'colours' has 3"):
        train(MobileNetSpace(TINY, num_classes=5), dataset, RECIPE, tmp_path / "net.safetensors")


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch_size": 1},
        {"learning_rate": float("nan")},
        {"optimizer": "adam"},
        {"ema_decay": 1.0},
        {"gradient_clip": 0.0},
        {"label_smoothing": 1.0},
    ],
)
def test_a_recipe_out_of_range_is_refused(wrong) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        replace(RECIPE, **wrong)


def test_the_learning_rate_rises_then_falls_to_nothing() -> None:
    phase = TrainRecipe(epochs=5, learning_rate=1.0, warmup_epochs=0.5).phases[0]
    rates = [phase.learning_rate_at(step, steps_per_epoch=20) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * (step + 1) for step in range(10)])
    assert rates[10] == pytest.approx(1.0)
    assert rates[55] == pytest.approx(0.5)
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert 0 < rates[-1] < 0.001
