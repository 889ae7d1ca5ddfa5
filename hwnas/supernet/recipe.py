"""The training recipe: every knob of a training run, as one value."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from hwnas.data.batches import Augmentation
from hwnas.errors import InputError
from hwnas.supernet.sampling import SamplingRule, Sandwich


@dataclass(frozen=True, kw_only=True)
class TrainRecipe:
    """How a supernet is trained; the defaults are those of the shipped demo supernet.

    Attributes:
        epochs: passes over the train split.
        batch_size: images a step; all of the split where it holds fewer.
        optimizer: `sgd` (Nesterov) or `adamw`.
        learning_rate: the highest; it rises linearly in the warm-up, then falls to 0 by a cosine.
        momentum: of `sgd`; the first beta of `adamw`.
        weight_decay: of weights and kernel transforms; normalisations and biases have none.
        warmup_epochs: length of the warm-up, may be a fraction.
        label_smoothing: share of the target spread over all classes; for `labels` only.
        gradient_clip: largest norm of the summed gradient; None for no limit.
        ema_decay: decay a step of the averaged weights that are kept; None keeps the last ones.
        sampling: which architectures a step runs.
        augmentation: how images are varied; None leaves them as they are.
        seed: of weights, order, augmentation and sampling.
    """

    epochs: int = 12
    batch_size: int = 64
    optimizer: Literal["sgd", "adamw"] = "adamw"
    learning_rate: float = 6e-3
    momentum: float = 0.9
    weight_decay: float = 0.02
    warmup_epochs: float = 1.0
    label_smoothing: float = 0.05
    gradient_clip: float | None = 5.0
    ema_decay: float | None = None
    sampling: SamplingRule = field(default_factory=Sandwich)
    augmentation: Augmentation | None = field(default_factory=lambda: Augmentation(erase_probability=0.0))
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises InputError for a value out of its range."""
        if self.optimizer not in ("sgd", "adamw"):
            raise InputError(f"recipe: optimizer must be 'sgd' or 'adamw', but got '{self.optimizer}'")
        within = {
            "epochs": self.epochs >= 1,
            "batch_size": self.batch_size >= 2,
            "learning_rate": 0 < self.learning_rate < math.inf,
            "momentum": 0 <= self.momentum < 1,
            "weight_decay": 0 <= self.weight_decay < math.inf,
            "warmup_epochs": 0 <= self.warmup_epochs < math.inf,
            "label_smoothing": 0 <= self.label_smoothing < 1,
            "gradient_clip": self.gradient_clip is None or 0 < self.gradient_clip < math.inf,
            "ema_decay": self.ema_decay is None or 0 <= self.ema_decay < 1,
            "seed": self.seed >= 0,
        }
        for name, fits in within.items():
            if not fits:
                raise InputError(f"recipe: {name} is out of its range: {getattr(self, name)}")

    def to_json(self) -> dict[str, Any]:
        """Returns all fields; equal recipes have equal JSON."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        augmentation = None if self.augmentation is None else asdict(self.augmentation)
        return fields | {"sampling": self.sampling.to_json(), "augmentation": augmentation}

    def learning_rate_at(self, step: int, steps: int, steps_per_epoch: int) -> float:
        """Returns the learning rate of step 0 ... steps - 1."""
        warm = min(steps, round(self.warmup_epochs * steps_per_epoch))
        if step < warm:
            return self.learning_rate * (step + 1) / warm
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
