"""Training a supernet to a file, resumable to the last bit."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.data import Dataset
from hwnas.errors import InputError
from hwnas.spaces import Candidates, Space
from hwnas.supernet.checkpoint import load_checkpoint, save_checkpoint
from hwnas.supernet.evaluate import evaluate
from hwnas.supernet.info import SupernetInfo
from hwnas.supernet.model import Supernet
from hwnas.supernet.recipe import TrainRecipe
from hwnas.supernet.trainer import Trainer
from hwnas.supernet.weights_file import read_info, save_supernet


@dataclass(frozen=True)
class TrainProgress:
    """How far a training run is.

    Attributes:
        step: steps done, of `steps`.
        steps: of the whole run.
        epoch: the pass under way, counted from 1, of `epochs`.
        epochs: of the whole run.
        loss: of the step's first architecture.
        images_per_second: since the run began or went on.
    """

    step: int
    steps: int
    epoch: int
    epochs: int
    loss: float
    images_per_second: float


def train(
    space: Space,
    dataset: Dataset,
    recipe: TrainRecipe,
    output: Path,
    progress: Callable[[TrainProgress], None] | None = None,
    *,
    checkpoint_seconds: float = 30.0,
) -> Path:
    """Returns `output` once it holds the supernet trained by `recipe`.

    A run that was stopped, however abruptly, goes on from `OUTPUT.checkpoint` and ends with the
    same weights as one that was not (on the same machine, with the same number of threads). An
    output that is complete is left as it is.

    Args:
        space: whose architectures are trained; its classes are those of the data.
        dataset: `train` trains; `calibrate` and `validate` give the final figures.
        recipe: every other knob.
        output: a safetensors file.
        progress: called after every step.
        checkpoint_seconds: time between checkpoints; it has no influence on the result.

    Raises:
        InputError: data and space differ in the number of classes, the output or its checkpoint
            is of another recipe, space or data set, or the folder cannot be written to.
    """
    identity = _identity(space, dataset, recipe)
    if output.exists():
        _check_complete(output, identity)
        return output
    trainer = Trainer(space, dataset, recipe)
    path = output.with_name(output.name + ".checkpoint")
    found = load_checkpoint(path, identity)
    if found is None:
        save_checkpoint(
            path, trainer.checkpoint(identity)
        )  # what cannot be written fails now, not hours later
    else:
        trainer.restore(found)
    first, started = trainer.step, time.monotonic()
    saved = started
    while trainer.step < trainer.steps:
        loss = trainer.advance()
        now = time.monotonic()
        if progress:
            rate = (trainer.step - first) * trainer.batch_size / max(now - started, 1e-9)
            epoch = (trainer.step - 1) // trainer.steps_per_epoch + 1
            progress(TrainProgress(trainer.step, trainer.steps, epoch, recipe.epochs, loss, rate))
        if now - saved >= checkpoint_seconds or trainer.step == trainer.steps:
            save_checkpoint(path, trainer.checkpoint(identity))
            saved = now
    supernet = trainer.trained()
    supernet.info = SupernetInfo(
        space=space.name,
        num_classes=space.num_classes,
        image_sizes=space.image_sizes,
        recipe=recipe.to_json(),
        data=dataset.name,
        data_fingerprint=dataset.fingerprint,
        metrics=_metrics(supernet, dataset),
    )
    save_supernet(supernet, output)
    path.unlink(missing_ok=True)
    return output


def _identity(space: Space, dataset: Dataset, recipe: TrainRecipe) -> dict[str, Any]:
    return {"space": space.name, "data_fingerprint": dataset.fingerprint, "recipe": recipe.to_json()}


def _check_complete(output: Path, identity: dict[str, Any]) -> None:
    info = read_info(output)
    for name, wanted in identity.items():
        if getattr(info, name) != wanted:
            raise InputError(
                f"{output} holds a supernet of another {name}: {getattr(info, name)}, not {wanted}; "
                f"name another output"
            )


def _metrics(supernet: Supernet, dataset: Dataset) -> dict[str, float]:
    """Returns the accuracy of the largest and the smallest architecture on `validate`, in percent."""
    space = supernet.space
    ends = Candidates.of_architectures(space, [space.largest(), space.smallest()])
    largest, smallest = evaluate(supernet, ends, dataset)
    return {
        "accuracy_top1_largest": largest.accuracy_top1,
        "accuracy_top1_smallest": smallest.accuracy_top1,
    }
