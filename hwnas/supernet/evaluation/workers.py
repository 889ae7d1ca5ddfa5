"""Where candidates are evaluated: threads of this process, processes, GPUs, a Ray cluster."""

import os
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

import torch

from hwnas.errors import InputError
from hwnas.progress import Stopped, following
from hwnas.spaces import Candidates
from hwnas.supernet.evaluation.crew import Work, shared_out
from hwnas.supernet.evaluation.evaluate import Evaluator
from hwnas.supernet.evaluation.images import KEEP_BYTES
from hwnas.supernet.evaluation.processes import ProcessCrew
from hwnas.supernet.evaluation.ray_cluster import RayCrew, connected, room
from hwnas.supernet.evaluation.settings import Evaluation

Evaluations = Generator[Evaluation, None, None]


class Workers(Protocol):
    """A place that evaluates many candidates; which one is chosen changes no figure."""

    def evaluations(self, evaluator: Evaluator, candidates: Candidates, split: str) -> Evaluations:
        """Yields the evaluation of each candidate, as soon as it is known.

        Raises:
            HwnasError: as `evaluate_many`.
        """


@dataclass(frozen=True)
class Threads:
    """Threads of this process, as many as the evaluator has workers."""

    def evaluations(self, evaluator: Evaluator, candidates: Candidates, split: str) -> Evaluations:
        """Yields evaluations as they become known."""
        asked: list[Stopped] = []
        with closing(evaluator.completed(candidates, split)) as completed:
            for _, evaluation in following(completed, asked):
                try:
                    yield evaluation
                except Stopped as wish:
                    asked.append(wish)


@dataclass(frozen=True)
class Processes:
    """Processes of this machine; that one is killed costs the candidate it had in hand.

    Attributes:
        count: how many.
        gpus: as CUDA_VISIBLE_DEVICES names them, used in turns; () is the CPU.
    """

    count: int
    gpus: tuple[str, ...] = ()

    def evaluations(self, evaluator: Evaluator, candidates: Candidates, split: str) -> Evaluations:
        """Yields evaluations as they become known."""
        memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        keep_bytes = None if self.gpus else min(KEEP_BYTES, memory_bytes // 4 // self.count)
        work = Work.of(evaluator, split, "cuda" if self.gpus else "cpu", keep_bytes)
        yield from shared_out(ProcessCrew(work, self.gpus), _tasks(candidates), self.count)


@dataclass(frozen=True)
class RayCluster:
    """Actors of a Ray cluster, each on a core, or on a core and a GPU.

    Attributes:
        address: as `connected` takes it.
        count: how many; None is as many as there is room for.
        torch_device: `cpu`, `cuda`, or `auto`: cuda where the cluster has GPUs.
    """

    address: str
    count: int | None = None
    torch_device: str = "auto"

    def evaluations(self, evaluator: Evaluator, candidates: Candidates, split: str) -> Evaluations:
        """Yields evaluations as they become known."""
        if self.torch_device not in ("cpu", "cuda", "auto"):
            raise InputError(
                f"a torch device on Ray must be cpu, cuda or auto, but got '{self.torch_device}'"
            )
        with connected(self.address, self.count) as ray:
            has_gpus = ray.cluster_resources().get("GPU", 0) >= 1
            device = ("cuda" if has_gpus else "cpu") if self.torch_device == "auto" else self.torch_device
            count = self.count or room(ray, device)
            crew = RayCrew(ray, Work.of(evaluator, split, device))
            yield from shared_out(crew, _tasks(candidates), count)


def evaluate_many(
    evaluator: Evaluator, candidates: Candidates, split: str = "validate", workers: Workers | None = None
) -> Evaluations:
    """Yields the evaluation of each candidate once, as soon as it is known: in no certain order.

    Args:
        evaluator: its supernet, data and settings; workers elsewhere open the data by their name.
        candidates: of the supernet's space.
        split: `validate` guides a search; `test` is for the report alone.
        workers: where; None is threads of this process.

    Raises:
        InputError: candidates of another space, an unknown or empty split, data that are not there
            for a worker.
        HwnasError: workers died again and again, on a candidate or as they started.
    """
    if evaluator.num_images(split) == 0:
        raise InputError(f"the {split} split of '{evaluator.dataset.name}' has no images to evaluate on")
    if len(candidates):
        yield from (workers or Threads()).evaluations(evaluator, candidates, split)


def local_workers(evaluator: Evaluator, count: int | None = None) -> Workers:
    """Returns workers of this machine for an evaluator.

    On the CPU `count` processes, or threads where there is no count. With the torch device `cuda`
    one process a GPU, or this process where there is one GPU.
    """
    device = evaluator.settings.torch_device
    if device == "cpu":
        return Threads() if count is None else Processes(count)
    gpus = _gpus() if device == "cuda" else (_gpus()[int(device.partition(":")[2])],)
    count = count or len(gpus)
    return Processes(count, gpus) if count > 1 else Threads()


def _gpus() -> tuple[str, ...]:
    """Returns the GPUs that torch sees, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return tuple(one.strip() for one in named.split(","))[: torch.cuda.device_count()]
    return tuple(map(str, range(torch.cuda.device_count())))


def _tasks(candidates: Candidates) -> list[dict[str, object]]:
    return [one.to_json() for one in candidates.unpack()]
