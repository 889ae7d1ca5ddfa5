"""Candidates shared out over workers that may die: what a crew of workers is, and who gets what.

A crew is a place to run workers, such as processes of this machine or actors of a Ray cluster. It
starts them, hands each a task at a time and says what came of it; that a worker dies costs the
task it had in hand, which another one repeats.
"""

import json
import pickle
from collections import Counter, deque
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch

from hwnas.data import get_dataset
from hwnas.errors import HwnasError, InputError
from hwnas.progress import Stopped
from hwnas.spaces import Candidates
from hwnas.supernet.evaluation.evaluate import Evaluator
from hwnas.supernet.evaluation.settings import EvaluateSettings, Evaluation

Task = dict[str, Any]  # a candidate as JSON

ATTEMPTS = 3  # deaths on one candidate, or before the first worker is ready, that end the work


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a worker needs to evaluate candidates as the evaluator it was made from does.

    Attributes:
        supernet: pickled; only processes of one user's own run pass it to each other.
        data: the text that `get_dataset` takes; workers open the data themselves.
        data_fingerprint: what those data must be.
        split: which images.
        settings: how.
        keep_bytes: as of `Evaluator`.
    """

    supernet: bytes
    data: str
    data_fingerprint: str
    split: str
    settings: EvaluateSettings
    keep_bytes: int | None = None

    @staticmethod
    def of(
        evaluator: Evaluator, split: str, torch_device: str = "cpu", keep_bytes: int | None = None
    ) -> "Work":
        """Returns the work of an evaluator, on the torch device as the workers name it.

        Raises:
            InputError: its space cannot be sent to another process.
        """
        try:
            supernet = pickle.dumps(evaluator.supernet)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise InputError(
                f"space '{evaluator.supernet.space.name}' cannot be sent to another process ({error}); "
                "evaluate with threads of this one"
            ) from error
        return Work(
            supernet=supernet,
            data=evaluator.dataset.name,
            data_fingerprint=evaluator.dataset.fingerprint,
            split=split,
            settings=replace(evaluator.settings, torch_device=torch_device),
            keep_bytes=keep_bytes,
        )


class Worker:
    """Evaluates one candidate after another, on one thread of torch."""

    def __init__(self, work: Work) -> None:
        """Opens supernet and data.

        Raises:
            InputError: the data are not there, or are others.
        """
        torch.set_num_threads(1)
        dataset = get_dataset(work.data)
        if dataset.fingerprint != work.data_fingerprint:
            raise InputError(
                f"data '{work.data}' of a worker must have the fingerprint {work.data_fingerprint}, but "
                f"got {dataset.fingerprint}; copy the same data to every machine"
            )
        self._split = work.split
        self._evaluator = Evaluator(
            pickle.loads(work.supernet),
            dataset,
            calibrate_images=work.settings.calibrate_images,
            images=work.settings.images,
            batch_size=work.settings.batch_size,
            torch_device=work.settings.torch_device,
            keep_bytes=work.keep_bytes,
        )

    def evaluate(self, task: Task) -> Evaluation:
        """Returns the evaluation of a candidate; errors as `Evaluator.evaluate`."""
        one = Candidates.of_json(self._evaluator.supernet.space, [task])
        return self._evaluator.evaluate_one(one, self._split)


@dataclass(frozen=True)
class Ready:
    """A worker waits for its first task."""


@dataclass(frozen=True)
class Died:
    """A worker is gone, and what it had in hand with it.

    Attributes:
        reason: such as `killed by signal 9`.
    """

    reason: str


Answer = Ready | Evaluation | HwnasError | Died


class Crew(Protocol):
    """A place where workers run; each is known by a number."""

    def hire(self) -> int:
        """Starts a worker, which will answer `Ready`."""

    def give(self, worker: int, task: Task) -> None:
        """Hands a task to a worker that has answered; one that is dead by now answers `Died`."""

    def wait(self) -> tuple[int, Answer]:
        """Returns the next answer; a worker that died is not heard of again."""

    def close(self) -> None:
        """Ends all workers, whatever they do."""


def shared_out(crew: Crew, tasks: Sequence[Task], num_workers: int) -> Generator[Evaluation, None, None]:
    """Yields the evaluation of each task once, in the order they become known; closes the crew.

    Stopped, thrown into it, has it give out no more tasks and end after those at hand.

    Raises:
        HwnasError: a worker's own error; a candidate on which `ATTEMPTS` workers died; or workers
            that die before they are ready.
    """
    waiting = deque(range(len(tasks)))
    deaths: Counter[int] = Counter()
    failed_starts = 0
    stopped: Stopped | None = None
    with closing(crew):
        starting = {crew.hire() for _ in range(min(num_workers, len(tasks)))}
        idle: list[int] = []
        busy: dict[int, int] = {}
        while waiting or busy:
            worker, answer = crew.wait()
            if isinstance(answer, HwnasError):
                raise answer
            task = busy.pop(worker, None)
            if isinstance(answer, Died):
                if task is not None:
                    deaths[task] += 1
                    if deaths[task] >= ATTEMPTS:
                        raise HwnasError(_deadly(tasks[task], answer.reason))
                    waiting.append(task)
                elif worker in idle:
                    idle.remove(worker)
                else:
                    failed_starts += 1
                    if failed_starts >= ATTEMPTS and not busy:
                        raise HwnasError(f"workers die as they start: {answer.reason}")
                starting.discard(worker)
                if not idle and (failed_starts < ATTEMPTS or not (busy or starting)):
                    starting.add(crew.hire())
            else:
                failed_starts = 0
                starting.discard(worker)
                idle.append(worker)
            while waiting and idle:
                worker, task = idle.pop(), waiting.popleft()
                busy[worker] = task
                crew.give(worker, tasks[task])
            if isinstance(answer, Evaluation):
                try:
                    yield answer
                except Stopped as wish:
                    stopped = wish
            if stopped:
                waiting.clear()
        if stopped:
            raise stopped


def _deadly(task: Task, reason: str) -> str:
    architecture = json.dumps({name: value for name, value in task.items() if name != "bits"})
    return (
        f"{ATTEMPTS} workers died one after another on the architecture {architecture} ({reason}); what is "
        "known is kept; use fewer workers where memory is short, or leave the architecture out"
    )
