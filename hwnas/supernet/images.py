"""Batches of a data set's splits, resized once and kept for the next candidate."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from hwnas.data import Dataset
from hwnas.data.batches import batches

Batch = tuple[Tensor, Tensor]


class SizedImages:
    """Gives out batches (x float32 [n, 3, s, s], channels last; y int64 [n]) in the splits' order.

    What fits into `keep_bytes` is kept; the rest is decoded and resized on every pass.
    """

    def __init__(self, dataset: Dataset, keep_bytes: int = 2**30) -> None:
        self._dataset, self._room = dataset, keep_bytes
        self._kept: dict[tuple[str, int, int, int], list[Batch]] = {}

    def batches(self, split: str, size_px: int, batch_size: int, limit: int | None = None) -> Iterable[Batch]:
        """Returns the first `limit` images of a split (all where None) in batches.

        Raises:
            InputError: an unknown split, or an image that cannot be read.
        """
        available = len(self._dataset.split(split))
        n = available if limit is None else min(limit, available)
        key = (split, size_px, batch_size, n)
        if key not in self._kept:
            num_bytes = n * 3 * size_px**2 * 4
            if num_bytes > self._room:
                return self._make(*key)
            self._room -= num_bytes
            self._kept[key] = list(self._make(*key))
        return self._kept[key]

    def _make(self, split: str, size_px: int, batch_size: int, n: int) -> Iterator[Batch]:
        given = 0
        for x_NCHW, y_N in batches(self._dataset.split(split), batch_size, size_px):
            if given >= n:
                return
            x_NCHW, y_N = x_NCHW[: n - given], y_N[: n - given]
            given += len(x_NCHW)
            yield x_NCHW.contiguous(memory_format=torch.channels_last), y_N
