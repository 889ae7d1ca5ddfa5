"""Training a supernet to a file, resumable to the last bit."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from hwnas.data import Dataset
from hwnas.differences import told
from hwnas.errors import InputError
from hwnas.lock import held
from hwnas.progress import Stopped
from hwnas.spaces import FLOAT_BITS, Candidates, Space
from hwnas.supernet.evaluation.evaluate import Evaluator
from hwnas.supernet.info import SupernetInfo
from hwnas.supernet.model import Supernet
from hwnas.supernet.training.board import Board
from hwnas.supernet.training.checkpoint import load_checkpoint, save_checkpoint, saved_step
from hwnas.supernet.training.distributed import ONE_PROCESS, Group, ProcessEnded, ending
from hwnas.supernet.training.recipe import TrainRecipe
from hwnas.supernet.training.trainer import Trainer
from hwnas.supernet.weights_file import read_info, save_supernet

# Processes that load images look every 5 s whether the one that forked them is there.
_ORPHANS_S = 8.0
_SHOWN = ("loss", "learning_rate", "images_per_second")


@dataclass(frozen=True)
class TrainProgress:
    """How far a training run is.

    Attributes:
        step: steps done, of `steps`.
        steps: of the whole run.
        epoch: the pass under way, counted from 1, of `epochs`.
        epochs: of the whole run.
        phase: the name of the phase under way.
        loss: of the step's first architecture.
        learning_rate: of the step.
        images_per_second: since the run began or went on.
    """

    step: int
    steps: int
    epoch: int
    epochs: int
    phase: str
    loss: float
    learning_rate: float
    images_per_second: float


def train(
    space: Space,
    dataset: Dataset,
    recipe: TrainRecipe,
    output: Path,
    progress: Callable[[TrainProgress], None] | None = None,
    *,
    torch_device: str = "cpu",
    workers: int | None = None,
    tensorboard: Path | None = None,
    group: Group = ONE_PROCESS,
    start: Supernet | None = None,
    checkpoint_seconds: float = 30.0,
) -> Path:
    """Returns `output` once it holds the supernet trained by `recipe`.

    A run that was stopped, however abruptly, goes on from `OUTPUT.checkpoint` and ends with the
    same weights as one that was not (on the same machine's CPU, with the same numbers of threads
    and processes; on others, with the same up to rounding). An output that is complete is left as
    it is. In a group of processes all call this alike; rank 0 writes, calls `progress` and returns
    last.

    Args:
        space: whose architectures are trained; its classes are those of the data.
        dataset: `train` trains; `calibrate` and `validate` give the final figures.
        recipe: every other knob that bears on the result.
        output: a safetensors file, in a folder that all processes of the group can read.
        progress: called after every step.
        torch_device: such as `cuda`.
        workers: processes that decode images; see `hwnas.data.loader.load`.
        tensorboard: a folder for loss, learning rate, speed and the final figures.
        group: the processes that share out each batch.
        start: a supernet of the space to go on from; None draws fresh weights.
        checkpoint_seconds: time between checkpoints; it has no influence on the result.

    Raises:
        InputError: data and space differ in the number of classes, `start` is of another space, the
            output or its checkpoint is of another recipe, space, start or data set, the folder
            cannot be written to or another process trains the same, or the recipe asks for what is not
            installed or not possible here.
        ProcessEnded: another process of the group is gone.
    """
    identity = _identity(space, dataset, recipe, start)
    path = output.with_name(output.name + ".checkpoint")
    if _is_complete(output, identity):
        if group.rank == 0:
            path.unlink(missing_ok=True)  # a kill may have come between the two
        return output
    with _telling_the_step(path), _alone(output, group):
        # Who held the output may have completed it while this one waited.
        if group.first_says(_is_complete(output, identity), torch_device):
            return output
        trainer = Trainer(
            space, dataset, recipe, torch_device=torch_device, workers=workers, group=group, start=start
        )
        run = _Run(trainer, output, path, identity)
        run.begin()
        run.end(progress, tensorboard, checkpoint_seconds)
    return output


@contextmanager
def _telling_the_step(path: Path) -> Iterator[None]:
    """Adds to a message of processes that are gone from which step the same command goes on."""
    try:
        yield
    except ProcessEnded as error:
        ending()
        raise ProcessEnded(
            f"{error}; repeat the same command to go on from step {saved_step(path)}"
        ) from error


@contextmanager
def _alone(output: Path, group: Group) -> Iterator[None]:
    """Holds an output against a second training of it, in the process that writes."""
    with ExitStack() as stack:
        if group.rank == 0:
            try:
                output.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(held(output.with_name(f".{output.name}.lock"), _ORPHANS_S))
            except BlockingIOError:
                raise InputError(
                    f"{output} is being trained by another process; wait for it, or name another output"
                ) from None
            except OSError as error:
                raise InputError(
                    f"cannot write {output}: {error.strerror}; name a folder that can be written to"
                ) from error
        yield


@dataclass(frozen=True)
class _Run:
    """A training run with its files, in one process of its group; rank 0 alone writes.

    Attributes:
        output: where the supernet goes.
        path: of the checkpoint.
        identity: what must be equal for a run to go on from a checkpoint.
    """

    trainer: Trainer
    output: Path
    path: Path
    identity: dict[str, Any]

    def begin(self) -> None:
        """Takes up the checkpoint; else writes the first one, for a folder that refuses it to do so now."""
        found = load_checkpoint(self.path, self.identity)
        _check_agreed(found.step if found else -1, self.path, self.trainer)
        if found is not None:
            self.trainer.restore(found)
        elif self._writes:
            self._save()

    def end(
        self,
        progress: Callable[[TrainProgress], None] | None,
        tensorboard: Path | None,
        checkpoint_seconds: float,
    ) -> None:
        """Runs what is left to do and writes the supernet."""
        with Board(tensorboard if self._writes else None, self.trainer.step) as board:
            for state in self._steps(checkpoint_seconds):
                if self._writes:
                    board.write({name: getattr(state, name) for name in _SHOWN}, state.step)
                    if progress:
                        self._tell(progress, state)
            if self._writes:
                self._finish(board)
                self.path.unlink(missing_ok=True)

    @property
    def _writes(self) -> bool:
        return self.trainer.group.rank == 0

    def _save(self) -> None:
        save_checkpoint(self.path, self.trainer.checkpoint(self.identity))

    def _tell(self, progress: Callable[[TrainProgress], None], state: TrainProgress) -> None:
        """Calls `progress`; where it wishes that training stops, all steps done are in the checkpoint."""
        try:
            progress(state)
        except Stopped:
            self._save()
            raise

    def _steps(self, checkpoint_seconds: float) -> Iterator[TrainProgress]:
        """Yields after each step; a checkpoint is written every so often, and after the last."""
        trainer = self.trainer
        begun, first = time.monotonic(), trainer.step
        saved = begun
        while trainer.step < trainer.steps:
            phase, start = trainer.phase_at(trainer.step)
            rate = phase.learning_rate_at(trainer.step - start, trainer.steps_per_epoch)
            loss = trainer.advance()
            now = time.monotonic()
            yield TrainProgress(
                step=trainer.step,
                steps=trainer.steps,
                epoch=(trainer.step - 1) // trainer.steps_per_epoch + 1,
                epochs=trainer.recipe.all_epochs,
                phase=phase.name,
                loss=loss,
                learning_rate=rate,
                images_per_second=(trainer.step - first) * trainer.batch_size / max(now - begun, 1e-9),
            )
            if self._writes and (now - saved >= checkpoint_seconds or trainer.step == trainer.steps):
                self._save()
                saved = now

    def _finish(self, board: Board) -> None:
        """Writes the supernet with its final figures."""
        trainer = self.trainer
        supernet, space = trainer.trained(), trainer.space
        supernet.info = SupernetInfo(
            **self.identity,
            num_classes=space.num_classes,
            image_sizes=space.image_sizes,
            data=trainer.dataset.name,
            bits=trainer.recipe.bits,
            learned_steps=trainer.recipe.learned_steps,
        )
        metrics = _metrics(supernet, trainer.dataset)
        supernet.info = replace(supernet.info, metrics=metrics)
        board.write(metrics, trainer.step)
        save_supernet(supernet, self.output)


def _identity(space: Space, dataset: Dataset, recipe: TrainRecipe, start: Supernet | None) -> dict[str, Any]:
    if start is not None and start.space.key != space.key:
        raise InputError(
            f"training can go on from a supernet of space '{space.key}' alone, but got one of "
            f"'{start.space.key}'"
        )
    before = None if start is None else start.info
    return {
        "space": space.name,
        "space_definition": json.loads(json.dumps(space.definition)),
        "data_fingerprint": dataset.fingerprint,
        "recipe": recipe.to_json(),
        "start": None
        if start is None
        else {"digest": start.digest(), "recipe": None if before is None else dict(before.recipe)},
    }


def _is_complete(output: Path, identity: dict[str, Any]) -> bool:
    """Whether the output is there; InputError where it is of another training."""
    if not output.exists():
        return False
    info = read_info(output)
    for name, wanted in identity.items():
        if getattr(info, name) != wanted:
            raise InputError(
                f"{output} holds a supernet of another {name}: {told(getattr(info, name), wanted)}; "
                f"name another output"
            )
    return True


def _check_agreed(step: int, path: Path, trainer: Trainer) -> None:
    """Raises InputError where processes did not find the same checkpoint; waits for all."""
    steps = trainer.group.gather(torch.tensor([step], device=trainer.device))
    if not bool((steps == step).all()):
        raise InputError(
            f"the processes of the training job find different checkpoints at {path}; name an output "
            f"in a folder that all of them share"
        )


def _metrics(supernet: Supernet, dataset: Dataset) -> dict[str, float]:
    """Returns the accuracy of the largest and the smallest architecture on `validate`, in percent.

    Where the supernet was tuned for bits, also of both at each of them, such as
    `accuracy_top1_largest_4_bits`.
    """
    assert supernet.info is not None
    space, bits = supernet.space, supernet.info.bits
    ends = [space.largest(), space.smallest()]
    parts = [Candidates.of_architectures(space, ends, one) for one in (FLOAT_BITS, *bits)]
    results = iter(Evaluator(supernet, dataset).evaluate(Candidates.concatenate(parts)))
    return {
        f"accuracy_top1_{end}{suffix}": next(results).accuracy_top1
        for suffix in ("", *(f"_{one}_bits" for one in bits))
        for end in ("largest", "smallest")
    }
