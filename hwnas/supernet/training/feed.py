"""The images of each training step: in order, shared out over processes, varied, on their device."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from hwnas.data import Split
from hwnas.data.augment import augment
from hwnas.data.batches import normalised
from hwnas.data.loader import load
from hwnas.errors import InputError
from hwnas.supernet.training.distributed import Group
from hwnas.supernet.training.draws import Purpose, rng, torch_generator
from hwnas.supernet.training.recipe import TrainRecipe


class Feed:
    """Gives out (x [n, 3, s, s], y [n]) step by step; which follows from the step alone.

    Attributes:
        batch_size: images a step, over all processes.
        steps_per_epoch: images left over at the end of a pass are left out.
    """

    def __init__(
        self,
        split: Split,
        recipe: TrainRecipe,
        size_px: int,
        *,
        group: Group,
        torch_device: str,
        workers: int | None,
    ) -> None:
        """Takes the images to train on; `workers` as `load` does.

        Raises:
            InputError: fewer than two images, or a batch that the processes cannot share evenly.
        """
        if len(split) < 2:
            raise InputError(f"training needs at least 2 images, but got {len(split)}")
        self.batch_size = min(recipe.batch_size, len(split))
        if self.batch_size % group.size:
            raise InputError(
                f"{self.batch_size} images a step cannot be shared evenly by {group.size} processes; "
                f"choose a --batch-size that is a multiple of {group.size}"
            )
        self.steps_per_epoch = len(split) // self.batch_size
        self._split, self._recipe, self._size_px = split, recipe, size_px
        self._group, self._device, self._workers = group, torch.device(torch_device), workers
        self._images: Iterator[tuple[Tensor, Tensor]] | None = None
        self._next = 0

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """Returns the images of a step; steps in a row are the fast way.

        Raises:
            InputError: an image cannot be read.
        """
        if self._images is None or self._next != step:
            on_gpu = self._device.type == "cuda"
            chosen = self._indices(step)
            self._images = load(self._split, chosen, workers=self._workers, pin_memory=on_gpu)
        images_NHWC, y_N = next(self._images)
        self._next = step + 1
        x_NCHW = normalised(
            images_NHWC.to(self._device, non_blocking=True),
            self._size_px,
            mean=self._split.mean,
            std=self._split.std,
        )
        if self._recipe.augmentation is not None:
            x_NCHW = augment(
                x_NCHW,
                torch_generator(self._recipe.seed, Purpose.AUGMENTATION, step),
                self._recipe.augmentation,
                mean=self._split.mean,
                std=self._split.std,
                place=self._group.part(self.batch_size).start,
                total=self.batch_size,
            )
        return x_NCHW, y_N.to(self._device, non_blocking=True)

    def _indices(self, step: int) -> Iterator[np.ndarray[tuple[int, ...], np.dtype[np.int64]]]:
        """Yields this process's part of each step's images, without end."""
        part = self._group.part(self.batch_size)
        while True:
            epoch, place = divmod(step, self.steps_per_epoch)
            order = rng(self._recipe.seed, Purpose.ORDER, epoch).permutation(len(self._split))
            for first in range(place, self.steps_per_epoch):
                yield order[first * self.batch_size : (first + 1) * self.batch_size][part]
                step += 1
