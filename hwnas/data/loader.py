"""Images in a given order, decoded ahead by worker processes where that pays."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hwnas.data.dataset import Split
from hwnas.errors import InputError
from hwnas.profilers.machine.processor import cores_here

_MOST_WORKERS = 8
_AHEAD = 4  # batches that each worker prepares


def load(
    split: Split,
    chosen: Iterable[NDArray[np.int64]],
    *,
    workers: int | None = 0,
    pin_memory: bool = False,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields (images uint8 [n, H, W, 3], labels int64 [n]) for each array of indices, in order.

    Args:
        split: where images and labels come from.
        chosen: may go on without end; a little more is taken from it than is given out.
        workers: processes that decode; 0 decodes here, None takes one a core (at most 8) where
            images come from files and 0 where they are in memory.
        pin_memory: puts images where a GPU can fetch them by itself.

    Raises:
        InputError: an image cannot be read.
    """
    if workers is None:
        workers = min(_MOST_WORKERS, len(cores_here())) if split.from_files else 0
    wanted = _Wanted(split)
    if workers == 0:
        made: Iterable[tuple[Tensor, Tensor] | InputError] = (wanted[indices] for indices in chosen)
    else:
        made = DataLoader(
            wanted,
            sampler=chosen,  # an item is a whole batch
            batch_size=None,
            num_workers=workers,
            prefetch_factor=_AHEAD,
            pin_memory=pin_memory,
        )
    for item in made:
        if isinstance(item, InputError):
            raise item
        yield item[0], item[1]


class _Wanted(Dataset[tuple[Tensor, Tensor] | InputError]):
    """A split of which an item is a batch."""

    def __init__(self, split: Split) -> None:
        self._split = split

    def __getitem__(self, indices: NDArray[np.int64]) -> tuple[Tensor, Tensor] | InputError:
        """Returns a batch; an error is returned too, since workers bury what they raise in a traceback."""
        try:
            images = self._split.images(indices)
        except InputError as error:
            return error
        return torch.from_numpy(images), torch.from_numpy(self._split.labels[indices])
