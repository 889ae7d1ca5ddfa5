"""Batches of a data set's splits, resized once and kept for the next candidate."""

import threading
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from hwnas.data import Dataset
from hwnas.data.batches import batches

Batch = tuple[Tensor, Tensor]
# Split, image size in px, images a batch, images in all.
Key = tuple[str, int, int, int]

KEEP_BYTES = 2**30  # on a CPU


class SizedImages:
    """Gives out batches (x float32 [n, 3, s, s], channels last; y int64 [n]) in the splits' order.

    What fits into `keep_bytes` is kept on the torch device; the rest is decoded and resized on
    every pass. Threads may share one of these.
    """

    def __init__(self, dataset: Dataset, keep_bytes: int | None = None, torch_device: str = "cpu") -> None:
        """Keeps a gigabyte where `keep_bytes` is None, on a GPU half of the memory free at first use."""
        self._dataset, self._room, self._device = dataset, keep_bytes, torch.device(torch_device)
        self._kept: dict[Key, list[Batch]] = {}
        self._lock = threading.Lock()

    def batches(self, split: str, size_px: int, batch_size: int, limit: int | None = None) -> Iterable[Batch]:
        """Returns the first `limit` images of a split (all where None) in batches.

        Raises:
            InputError: an unknown split, or an image that cannot be read.
        """
        available = len(self._dataset.split(split))
        n = available if limit is None else min(limit, available)
        key = (split, size_px, batch_size, n)
        with self._lock:
            if key not in self._kept:
                num_bytes = _num_bytes(key)
                if self._room is None:
                    on_gpu = self._device.type == "cuda"
                    self._room = torch.cuda.mem_get_info(self._device)[0] // 2 if on_gpu else KEEP_BYTES
                if num_bytes > self._room:
                    return self._make(*key)
                self._kept[key] = list(self._make(*key))
                self._room -= num_bytes
            return self._kept[key]

    def forget(self, split: str) -> None:
        """Lets the kept images of a split go."""
        with self._lock:
            for key in [one for one in self._kept if one[0] == split]:
                self._room = (self._room or 0) + _num_bytes(key)
                del self._kept[key]

    def _make(self, split: str, size_px: int, batch_size: int, n: int) -> Iterator[Batch]:
        given = 0
        for x_NCHW, y_N in batches(self._dataset.split(split), batch_size, size_px):
            if given >= n:
                return
            x_NCHW, y_N = x_NCHW[: n - given], y_N[: n - given]
            given += len(x_NCHW)
            x_NCHW = x_NCHW.contiguous(memory_format=torch.channels_last)
            yield x_NCHW.to(self._device), y_N.to(self._device)


def _num_bytes(key: Key) -> int:
    _, size_px, _, n = key
    return n * 3 * size_px**2 * 4
