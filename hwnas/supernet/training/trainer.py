"""One training run in memory: weights, optimizer and the place in the data; step by step."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from hwnas.data import Dataset
from hwnas.data.batches import resize
from hwnas.errors import InputError
from hwnas.spaces import Space
from hwnas.supernet.chain import channels_last
from hwnas.supernet.elastic import ElasticNorm
from hwnas.supernet.model import Supernet
from hwnas.supernet.training.checkpoint import Checkpoint
from hwnas.supernet.training.distributed import ONE_PROCESS, Group
from hwnas.supernet.training.draws import Purpose, rng, torch_generator
from hwnas.supernet.training.dropout import Dropout
from hwnas.supernet.training.feed import Feed
from hwnas.supernet.training.optimizer import make_optimizer, restore_optimizer, set_learning_rate
from hwnas.supernet.training.phase import Phase
from hwnas.supernet.training.recipe import TrainRecipe
from hwnas.supernet.training.sampling import AccuracyOf
from hwnas.supernet.training.sorting import sort_channels
from hwnas.supernet.training.survey import Surveyed, fit_accuracy, make_survey
from hwnas.supernet.training.sync_norm import synchronised

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Trainer:
    """A training run after `step` of `steps` steps; each process of a group has one."""

    def __init__(
        self,
        space: Space,
        dataset: Dataset,
        recipe: TrainRecipe,
        *,
        torch_device: str = "cpu",
        workers: int | None = None,
        group: Group = ONE_PROCESS,
        start: Supernet | None = None,
    ) -> None:
        """Makes fresh weights, or copies those of `start`.

        Args:
            space: whose architectures are trained; its classes are those of the data.
            dataset: `train` trains; `calibrate` serves the sampling rules that survey accuracies.
            recipe: every other knob that bears on the result.
            torch_device: such as `cuda`.
            workers: processes that decode images; see `hwnas.data.loader.load`.
            group: the processes that share out each batch.
            start: a supernet of the space, which is left as it is.

        Raises:
            InputError: data and space differ in the number of classes, there are fewer than two
                images to train on, a batch cannot be shared evenly, fp16 without a GPU, or learned
                steps in `start` that the recipe does not learn.
        """
        if dataset.num_classes != space.num_classes:
            raise InputError(
                f"the space has {space.num_classes} classes, but the data set '{dataset.name}' has "
                f"{dataset.num_classes}; build the space for that number"
            )
        self.device = torch.device(torch_device)
        if recipe.precision == "fp16" and self.device.type != "cuda":
            raise InputError(f"fp16 needs a GPU, but training is on '{torch_device}'; bf16 runs anywhere")
        self.space, self.dataset, self.recipe, self.group = space, dataset, recipe, group
        self._feed = Feed(
            dataset.split("train"),
            recipe,
            max(space.image_sizes),
            group=group,
            torch_device=torch_device,
            workers=workers,
        )
        self.batch_size, self.steps_per_epoch = self._feed.batch_size, self._feed.steps_per_epoch
        self.steps = recipe.all_epochs * self.steps_per_epoch
        self.step = 0
        self.supernet = self._made(torch_generator(recipe.seed, Purpose.WEIGHTS, 0))
        if start is not None:
            self._begin_with(start)
        self._dropout = Dropout(self.supernet, recipe.dropout) if recipe.dropout else None
        self.optimizer = make_optimizer(self.supernet, recipe)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=recipe.precision == "fp16")
        self.average = None if recipe.ema_decay is None else _copy(self.supernet.state_dict())
        self.teacher: Supernet | None = None
        self.surveyed: Surveyed | None = None
        self._accuracy_of: AccuracyOf | None = None
        self._share_first()

    def phase_at(self, step: int) -> tuple[Phase, int]:
        """Returns the phase of a step, and the step at which it begins."""
        start = 0
        for phase in self.recipe.phases:
            end = start + phase.epochs * self.steps_per_epoch
            if step < end:
                return phase, start
            start = end
        return phase, start - phase.epochs * self.steps_per_epoch

    def advance(self) -> float:
        """Runs one step; returns the loss of its first architecture, the mean over all images."""
        phase, start = self.phase_at(self.step)
        if self.step == start:
            self._begin(phase)
        self._look_around(phase, start)
        x_NCHW, y_N = self._feed.at(self.step)
        set_learning_rate(self.optimizer, phase.learning_rate_at(self.step - start, self.steps_per_epoch))
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._backward(phase, x_NCHW, y_N)
        gradients = [p.grad for p in self.supernet.parameters() if p.grad is not None]
        self.group.average([loss, *gradients])
        if self.recipe.gradient_clip is not None:
            self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.supernet.parameters(), self.recipe.gradient_clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average is not None and self.recipe.ema_decay is not None:
            for name, tensor in self.supernet.state_dict().items():
                self.average[name].lerp_(tensor, 1 - self.recipe.ema_decay)
        self.step += 1
        return loss.item()

    def trained(self) -> Supernet:
        """Returns the supernet to keep, a copy: averaged weights where the recipe has them."""
        supernet = self._fresh()
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
            teacher=None if self.teacher is None else dict(self.teacher.state_dict()),
            scaler=self.scaler.state_dict(),
            surveyed=None if self.surveyed is None else self.surveyed.to_json(),
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes on from a checkpoint of a run with the same space, data and recipe.

        Raises:
            InputError: it fits neither these weights nor this optimizer; what was there is then spoilt.
        """
        try:
            self._restore(checkpoint)
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            says = str(error).partition("\n")[0][:200]
            raise InputError(
                f"the checkpoint does not fit the run ({says}); delete it to train anew"
            ) from error

    def _restore(self, checkpoint: Checkpoint) -> None:
        if type(checkpoint.step) is not int or not 0 <= checkpoint.step <= self.steps:
            raise ValueError(f"it is of step {checkpoint.step} of {self.steps}")
        self.step = checkpoint.step
        self.supernet.load_state_dict(checkpoint.weights)
        restore_optimizer(self.optimizer, checkpoint.optimizer)
        self.scaler.load_state_dict(checkpoint.scaler)
        if (checkpoint.average is None) != (self.average is None):
            raise ValueError("it has averaged weights, or lacks them")
        if checkpoint.average is not None:
            own = self.supernet.state_dict()
            self.average = {name: tensor.to(self.device) for name, tensor in checkpoint.average.items()}
            if {name: tensor.shape for name, tensor in own.items()} != {
                name: tensor.shape for name, tensor in self.average.items()
            }:
                raise ValueError("its averaged weights are others")
        if checkpoint.teacher is not None:
            self.teacher = self._frozen(checkpoint.teacher)
        if checkpoint.surveyed is not None:
            self._know(Surveyed.of_json(checkpoint.surveyed))
        self._share_first()

    def _begin(self, phase: Phase) -> None:
        """Does what a phase begins with."""
        if phase.sampling.needs_teacher and self.teacher is None:
            self.teacher = self._frozen(self.supernet.state_dict() if self.average is None else self.average)
        self.surveyed = self._accuracy_of = None
        if phase.sort_channels:
            states = [self.average] if self.average is not None else []
            sort_channels(self.supernet, phase.sort_channels, states)
        self.optimizer = make_optimizer(self.supernet, self.recipe)

    def _look_around(self, phase: Phase, start: int) -> None:
        """Makes the survey that the phase's sampling rule wants, when it is time."""
        wanted = phase.sampling.wanted
        if wanted is None or self.surveyed is not None:
            return
        if self.step - start >= int(wanted.start * phase.epochs * self.steps_per_epoch):
            numbers = rng(self.recipe.seed, Purpose.SURVEY, self.step)
            supernet, device = self.trained(), str(self.device)
            self._know(make_survey(wanted, supernet, self.dataset, numbers, self.group, device))

    def _know(self, surveyed: Surveyed) -> None:
        self.surveyed = surveyed
        self._accuracy_of = fit_accuracy(self.space, surveyed)

    def _backward(self, phase: Phase, x_NCHW: Tensor, y_N: Tensor) -> Tensor:
        """Adds up the gradients of all architectures of this step; returns the loss of the first."""
        sized: dict[int, Tensor] = {}
        soft: dict[tuple[str, int], Tensor] = {}
        first: Tensor | None = None
        if self._dropout:
            generator = torch_generator(self.recipe.seed, Purpose.DROPOUT, self.step)
            self._dropout.begin(generator, self.group.rank, self.group.size)
        numbers = rng(self.recipe.seed, Purpose.SAMPLING, self.step)
        for sampled in phase.sampling.draw(self.space, numbers, self._accuracy_of):
            size_px = sampled.architecture["r"]
            if size_px not in sized:
                sized[size_px] = resize(x_NCHW, size_px).contiguous(memory_format=torch.channels_last)
            with self._autocast():
                logits = self.supernet(sized[size_px], sampled.architecture, sampled.bits)
            key = (sampled.target, size_px if sampled.target == "fixed" else 0)
            if sampled.target == "fixed" and key not in soft:
                soft[key] = self._taught(sized[size_px], size_px)
            loss = self._loss(logits.float(), y_N, soft.get(key))
            self.scaler.scale(loss * sampled.weight).backward()  # type: ignore[no-untyped-call]
            if first is None:
                first = loss.detach()
                soft["first", 0] = logits.detach().float().softmax(1)
        assert first is not None
        return first

    def _loss(self, logits: Tensor, y_N: Tensor, soft_NC: Tensor | None) -> Tensor:
        share = 0.0 if soft_NC is None else self.recipe.distillation
        if share == 1 and soft_NC is not None:
            return functional.cross_entropy(logits, soft_NC)
        hard = functional.cross_entropy(logits, y_N, label_smoothing=self.recipe.label_smoothing)
        if share == 0 or soft_NC is None:
            return hard
        return share * functional.cross_entropy(logits, soft_NC) + (1 - share) * hard

    def _taught(self, x_NCHW: Tensor, size_px: int) -> Tensor:
        """Returns the soft targets of the fixed network, [N, classes], at the size of the images."""
        assert self.teacher is not None
        with torch.no_grad(), self._autocast():
            logits: Tensor = self.teacher(x_NCHW, self.space.largest())
        return logits.float().softmax(1)

    def _autocast(self) -> torch.autocast:
        dtype = _DTYPES.get(self.recipe.precision)
        return torch.autocast(self.device.type, dtype, enabled=dtype is not None)

    def _frozen(self, state: dict[str, Tensor]) -> Supernet:
        """Returns a network that teaches: it takes the statistics of each batch and keeps none.

        It sees sizes other than the one its running statistics were taken at.
        """
        teacher = self._made(None).requires_grad_(False)
        teacher.load_state_dict(state)
        for part in teacher.modules():
            if isinstance(part, ElasticNorm):
                part.momentum = 0.0
        return teacher

    def _begin_with(self, start: Supernet) -> None:
        """Takes over weights and statistics; steps that are to be learned anew begin at 1."""
        own, given = self.supernet.state_dict(), start.state_dict()
        unknown = sorted(given.keys() - own.keys())
        if unknown:
            raise InputError(
                f"the supernet to go on from has learned steps, such as {unknown[0]}, that the recipe does "
                f"not learn; add --learned-steps and the same --bits"
            )
        fits = all(own[name].shape == tensor.shape for name, tensor in given.items())
        if not fits:
            raise InputError(
                "the supernet to go on from has learned steps for other bits than the recipe; give the same"
            )
        self.supernet.load_state_dict(own | given)

    def _fresh(self, generator: torch.Generator | None = None) -> Supernet:
        supernet = Supernet(self.space, generator)
        if self.recipe.learned_steps:
            supernet.learn_steps(self.recipe.bits)
        return supernet

    def _made(self, generator: torch.Generator | None) -> Supernet:
        supernet = channels_last(self._fresh(generator)).to(self.device).train()
        if self.group.size > 1 and self.recipe.sync_norm:
            batch_norm = synchronised(self.group)
            for part in supernet.modules():
                if isinstance(part, ElasticNorm):
                    part.batch_norm = batch_norm
        return supernet

    def _share_first(self) -> None:
        """Gives all processes the weights of rank 0."""
        self.group.share_first([*self.supernet.state_dict().values()])


def _copy(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in state.items()}
