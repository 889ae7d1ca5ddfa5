"""Sampling rules: which architectures a training step runs, and what each learns from.

A rule is a value that the one trainer takes. `labels` is cross-entropy, `teacher` the soft targets
of the first architecture of the same step (in-place distillation).
"""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from hwnas.errors import InputError
from hwnas.spaces import Architecture, Space

Target = Literal["labels", "teacher"]


@dataclass(frozen=True)
class Sampled:
    """An architecture of one training step and what it learns from."""

    architecture: Architecture
    target: Target


@dataclass(frozen=True)
class SamplingRule(ABC):
    """How the architectures of a training step are drawn; gradients of one step are summed."""

    name: ClassVar[str]

    @abstractmethod
    def draw(self, space: Space, rng: np.random.Generator) -> list[Sampled]:
        """Returns the architectures of one step, in the order they run; the first may teach."""

    def to_json(self) -> dict[str, Any]:
        """Returns the rule's name and fields."""
        return {"name": self.name, **asdict(self)}


@dataclass(frozen=True)
class Sandwich(SamplingRule):
    """The largest, the smallest and some random architectures; the largest teaches the others.

    Source: BigNAS (Yu et al., 2020), section 3.1, "sandwich rule" and "in-place distillation".

    Attributes:
        num_random: how many random architectures a step runs.
    """

    num_random: int = 2
    name: ClassVar[str] = "sandwich"

    def __post_init__(self) -> None:
        """Raises InputError for a negative number."""
        if self.num_random < 0:
            raise InputError(f"the sandwich rule needs num_random of at least 0, but got {self.num_random}")

    def draw(self, space: Space, rng: np.random.Generator) -> list[Sampled]:
        """Returns largest, smallest, then the random ones."""
        students = [space.smallest(), *space.sample(self.num_random, rng)]
        return [Sampled(space.largest(), "labels"), *(Sampled(student, "teacher") for student in students)]
