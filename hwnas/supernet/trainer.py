"""One training run in memory: weights, optimizer and the place in the data; step by step."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hwnas.data import Dataset, Split
from hwnas.data.batches import augment, batches, resize
from hwnas.errors import InputError
from hwnas.spaces import Space
from hwnas.supernet.chain import channels_last
from hwnas.supernet.checkpoint import Checkpoint
from hwnas.supernet.model import Supernet
from hwnas.supernet.recipe import TrainRecipe

# What random numbers are for; with seed and step they determine each draw, so that the number of
# steps done is the state of every generator.
_WEIGHTS, _ORDER, _SAMPLING, _AUGMENTATION = range(4)


class Trainer:
    """A training run after `step` of `steps` steps.

    Source: BigNAS (Yu et al., 2020), section 3; each random architecture has an image size of its
    own, as there.
    """

    def __init__(self, space: Space, dataset: Dataset, recipe: TrainRecipe) -> None:
        """Makes fresh weights.

        Raises:
            InputError: data and space differ in the number of classes, or there are fewer than
                two images to train on.
        """
        if dataset.num_classes != space.num_classes:
            raise InputError(
                f"the space has {space.num_classes} classes, but the data set '{dataset.name}' has "
                f"{dataset.num_classes}; build the space for that number"
            )
        self.space, self.recipe = space, recipe
        self.split: Split = dataset.split("train")
        if len(self.split) < 2:
            raise InputError(f"training needs at least 2 images, but '{dataset.name}' has {len(self.split)}")
        self.batch_size = min(recipe.batch_size, len(self.split))
        self.steps_per_epoch = len(self.split) // self.batch_size
        self.steps = recipe.epochs * self.steps_per_epoch
        self.step = 0
        self.supernet = channels_last(Supernet(space, self._generator(_WEIGHTS, 0)))
        self.supernet.train()
        self.optimizer = _optimizer(self.supernet, recipe)
        self.average = None if recipe.ema_decay is None else _copy(self.supernet.state_dict())
        self._batches: Iterator[tuple[Tensor, Tensor]] | None = None

    def advance(self) -> float:
        """Runs one step; returns the loss of its first architecture."""
        x_NCHW, y_N = self._next_batch()
        rate = self.recipe.learning_rate_at(self.step, self.steps, self.steps_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._backward(x_NCHW, y_N)
        if self.recipe.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(self.supernet.parameters(), self.recipe.gradient_clip)
        self.optimizer.step()
        if self.average is not None and self.recipe.ema_decay is not None:
            for name, tensor in self.supernet.state_dict().items():
                self.average[name].lerp_(tensor, 1 - self.recipe.ema_decay)
        self.step += 1
        return loss

    def trained(self) -> Supernet:
        """Returns the supernet to keep, a copy: averaged weights where the recipe has them."""
        supernet = Supernet(self.space)
        supernet.load_state_dict(self.supernet.state_dict() if self.average is None else self.average)
        return supernet.eval()

    def checkpoint(self, identity: dict[str, Any]) -> Checkpoint:
        """Returns the state of the run; tensors are shared, so write it before the next step."""
        return Checkpoint(
            identity=identity,
            step=self.step,
            weights=dict(self.supernet.state_dict()),
            optimizer=self.optimizer.state_dict(),
            average=self.average,
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes on from a checkpoint of a run with the same space, data and recipe."""
        self.step = checkpoint.step
        self.supernet.load_state_dict(checkpoint.weights)
        self.optimizer.load_state_dict(checkpoint.optimizer)
        self.average = checkpoint.average
        self._batches = None

    def _backward(self, x_NCHW: Tensor, y_N: Tensor) -> float:
        """Adds up the gradients of all architectures of this step."""
        sized: dict[int, Tensor] = {}
        teacher_NC: Tensor | None = None
        first = 0.0
        for sampled in self.recipe.sampling.draw(self.space, self._rng(_SAMPLING, self.step)):
            size_px = sampled.architecture["r"]
            if size_px not in sized:
                sized[size_px] = resize(x_NCHW, size_px).contiguous(memory_format=torch.channels_last)
            logits = self.supernet(sized[size_px], sampled.architecture)
            if sampled.target == "labels":
                loss = functional.cross_entropy(logits, y_N, label_smoothing=self.recipe.label_smoothing)
            else:
                assert teacher_NC is not None
                loss = functional.cross_entropy(logits, teacher_NC)
            loss.backward()  # type: ignore[no-untyped-call]
            if teacher_NC is None:
                teacher_NC, first = logits.detach().softmax(1), loss.item()
        return first

    def _next_batch(self) -> tuple[Tensor, Tensor]:
        epoch, start = divmod(self.step, self.steps_per_epoch)
        if start == 0 or self._batches is None:
            size_px, order = max(self.space.image_sizes), self._rng(_ORDER, epoch)
            self._batches = batches(self.split, self.batch_size, size_px, order, start=start, drop_last=True)
        x_NCHW, y_N = next(self._batches)
        if self.recipe.augmentation is not None:
            x_NCHW = augment(x_NCHW, self._generator(_AUGMENTATION, self.step), self.recipe.augmentation)
        return x_NCHW, y_N

    def _rng(self, purpose: int, step: int) -> np.random.Generator:
        return np.random.default_rng([self.recipe.seed, purpose, step])

    def _generator(self, purpose: int, step: int) -> torch.Generator:
        return torch.Generator().manual_seed(int(self._rng(purpose, step).integers(2**63)))


def _optimizer(supernet: Supernet, recipe: TrainRecipe) -> torch.optim.Optimizer:
    decayed = [p for p in supernet.parameters() if p.ndim > 1]
    others = [p for p in supernet.parameters() if p.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            groups, recipe.learning_rate, recipe.momentum, nesterov=recipe.momentum > 0, foreach=True
        )
    return torch.optim.AdamW(groups, recipe.learning_rate, betas=(recipe.momentum, 0.99), foreach=True)


def _copy(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in state.items()}
