"""Training in several processes: what they tell each other.

Each process runs the same architectures on its own part of the batch. Gradients are averaged once
a step, after the backward passes of all architectures, as one flat tensor. Torch's
DistributedDataParallel does not fit: it hooks into one forward and backward pass of a module whose
parameters all take part, while a step here runs several passes, each with parts of the parameters.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import FrameType
from typing import NoReturn, Protocol

import torch
from torch import Tensor, distributed
from torch.distributed.rendezvous import rendezvous

from hwnas.errors import HwnasError, InputError
from hwnas.supernet.torch_device import usable_torch_device

_ENDED = "a process of the training job ended"
_TIMEOUT = timedelta(minutes=30)  # rank 0 may read many images while the others wait


class Store(Protocol):
    """Numbers that the processes share, such as torch's stores hold."""

    def add(self, key: str, amount: int, /) -> int:
        """Adds to a number, 0 at first; returns what it is then."""


class ProcessEnded(HwnasError):
    """Another process of the job has ended, and with it the job."""

    exit_code = 1


@dataclass(frozen=True)
class Group:
    """The processes of a training run, seen from one of them.

    Attributes:
        rank: of this process, from 0; rank 0 writes files and speaks.
        size: how many there are.
        store: what they share beside their tensors; None where there is one process.
    """

    rank: int = 0
    size: int = 1
    store: Store | None = None

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replaces tensors of one device by their means over the processes, in one exchange."""
        if self.size == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        self.sum(flat)
        flat /= self.size
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def sum(self, tensor: Tensor) -> None:
        """Replaces a tensor by its sum over the processes."""
        if self.size > 1:
            _exchange(lambda: distributed.all_reduce(tensor))

    def gather(self, tensor: Tensor) -> Tensor:
        """Returns [processes, ...], the tensors of all, in the order of ranks."""
        if self.size == 1:
            return tensor[None]
        parts = [torch.empty_like(tensor) for _ in range(self.size)]
        _exchange(lambda: distributed.all_gather(parts, tensor))
        return torch.stack(parts)

    def share_first(self, tensors: Sequence[Tensor]) -> None:
        """Replaces tensors by those of rank 0."""
        if self.size > 1:
            for tensor in tensors:
                whole = tensor.contiguous()
                _exchange(lambda whole=whole: distributed.broadcast(whole, 0))  # type: ignore[misc]
                tensor.copy_(whole)

    def first_says(self, what: bool, torch_device: str) -> bool:
        """Returns what rank 0 says."""
        said = torch.tensor([float(what)], device=torch_device)
        self.share_first([said])
        return bool(said.item())

    def part(self, total: int) -> slice:
        """Returns which of `total` things are this process's; it must be a multiple of the size."""
        each = total // self.size
        return slice(self.rank * each, (self.rank + 1) * each)

    def is_first_to(self, what: str) -> bool:
        """Whether no process has asked this before; for words that only one need say."""
        try:
            return self.store is None or self.store.add(what, 1) == 1
        except RuntimeError:  # who kept the store is gone too
            return True


ONE_PROCESS = Group()


def launched() -> bool:
    """Whether torchrun, or what does as it does, started this process beside others."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


@contextmanager
def joined(torch_device: str) -> Iterator[Group]:
    """Yields the group that torchrun's environment names; one process where there is none.

    Processes speak over gloo, on GPUs over nccl. When one ends, torchrun asks the others to end by
    SIGTERM, which then raises ProcessEnded here, as a failed exchange does.

    Raises:
        InputError: the environment is not complete, or the others cannot be reached.
    """
    if not launched():
        yield ONE_PROCESS
        return
    on_gpu = torch_device.startswith("cuda")
    try:
        store, rank, size = next(rendezvous("env://", timeout=_TIMEOUT))
        distributed.init_process_group(
            "nccl" if on_gpu else "gloo", store=store, rank=rank, world_size=size, timeout=_TIMEOUT
        )
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f"cannot join the processes of the training job: {error}; start it with torchrun"
        ) from error
    before = signal.signal(signal.SIGTERM, _on_sigterm)
    try:
        yield Group(rank, size, store)
        signal.signal(signal.SIGTERM, before)
    except BaseException:
        ending()
        raise
    finally:
        distributed.destroy_process_group()


def ending() -> None:
    """Says that this process is about to end, so that it need not be asked to."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _on_sigterm(_signal: int, _frame: FrameType | None) -> NoReturn:
    ending()
    raise ProcessEnded(_ENDED)


def process_device(wanted: str) -> str:
    """Returns the device of this process: `auto` is a GPU where there is one, `cuda` the one of its rank.

    Raises:
        InputError: no such device here.
    """
    wanted = usable_torch_device(wanted)
    if wanted != "cuda":
        return wanted
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}"


def _exchange(call: Callable[[], object]) -> None:
    """Runs an exchange; when another process is gone, that is what the error says."""
    try:
        call()
    except RuntimeError as error:
        raise ProcessEnded(_ENDED) from error
