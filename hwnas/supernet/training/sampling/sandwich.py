"""The sandwich rule."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hwnas.errors import InputError
from hwnas.spaces import Architecture, Space
from hwnas.supernet.training.sampling.rule import AccuracyOf, Sampled, SamplingRule


@dataclass(frozen=True)
class Sandwich(SamplingRule):
    """The largest, the smallest and some random architectures; the largest teaches the others.

    Source: BigNAS (Yu et al., 2020), section 3.1, "sandwich rule" and "in-place distillation".

    Attributes:
        num_random: how many random architectures a step runs.
        student_weight: of the loss of each architecture but the largest, whose weight is 1.
    """

    num_random: int = 2
    student_weight: float = 1.0
    name: ClassVar[str] = "sandwich"

    def __post_init__(self) -> None:
        """Raises InputError for a value out of its range."""
        if self.num_random < 0:
            raise InputError(f"the sandwich rule needs num_random of at least 0, but got {self.num_random}")
        if not self.student_weight > 0:
            raise InputError(f"the sandwich rule needs student_weight above 0, but got {self.student_weight}")

    def draw(
        self, space: Space, rng: np.random.Generator, accuracy_of: AccuracyOf | None = None
    ) -> list[Sampled]:
        """Returns largest, smallest, then the random ones."""
        return sandwich(space, space.sample(self.num_random, rng), self.student_weight)


def sandwich(space: Space, between: list[Architecture], student_weight: float) -> list[Sampled]:
    """Returns the largest, which learns from labels, and the smallest and others, which learn from it."""
    students = [space.smallest(), *between]
    taught = (Sampled(student, "first", student_weight) for student in students)
    return [Sampled(space.largest(), "labels"), *taught]
