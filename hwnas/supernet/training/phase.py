"""A phase of a training run: a sampling rule with a schedule of its own."""

import math
from dataclasses import dataclass
from typing import Any

from hwnas.errors import InputError
from hwnas.supernet.training.sampling import SamplingRule


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A part of a training run; it begins with a fresh optimizer, as a run of its own would.

    Attributes:
        name: for people.
        epochs: passes over the train split.
        learning_rate: the highest; it rises linearly in the warm-up, then falls to 0 by a cosine.
        warmup_epochs: length of the warm-up, may be a fraction.
        sampling: which architectures a step runs.
        sort_channels: before the phase begins, the inner channels of every block are sorted by
            importance, so that the outputs of networks with the largest so many widths of a block
            stay as they are; 0 leaves the channels in place.
    """

    name: str
    epochs: int
    learning_rate: float
    warmup_epochs: float = 0.0
    sampling: SamplingRule
    sort_channels: int = 0

    def __post_init__(self) -> None:
        """Raises InputError for a value out of its range."""
        within = {
            "epochs": self.epochs >= 1,
            "learning_rate": 0 < self.learning_rate < math.inf,
            "warmup_epochs": 0 <= self.warmup_epochs < math.inf,
            "sort_channels": self.sort_channels >= 0,
        }
        for name, fits in within.items():
            if not fits:
                raise InputError(f"recipe: {name} is out of its range: {getattr(self, name)}")

    def learning_rate_at(self, step: int, steps_per_epoch: int) -> float:
        """Returns the learning rate of a step of this phase, counted from 0."""
        steps = self.epochs * steps_per_epoch
        warm = min(steps, round(self.warmup_epochs * steps_per_epoch))
        if step < warm:
            return self.learning_rate * (step + 1) / warm
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))

    def to_json(self) -> dict[str, Any]:
        """Returns all fields."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return fields | {"sampling": self.sampling.to_json()}
