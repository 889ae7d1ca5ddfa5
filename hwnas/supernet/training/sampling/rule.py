"""What a sampling rule is."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import InputError
from hwnas.spaces import Architecture, BitwidthPolicy, Candidates, Space

Target = Literal["labels", "first", "fixed"]

AccuracyOf = Callable[[Candidates], NDArray[np.float64]]
"""Predicted accuracies in percent, [n]."""


@dataclass(frozen=True)
class Sampled:
    """An architecture of one training step and what it learns from.

    Attributes:
        target: `labels`; or the soft targets of the `first` architecture of the same step (in-place
            distillation), or of a `fixed` largest network, trained in an earlier phase.
        weight: of its loss in the step's sum.
        bits: what it is quantized to; None is floating point.
    """

    architecture: Architecture
    target: Target
    weight: float = 1.0
    bits: BitwidthPolicy | None = None


@dataclass(frozen=True, kw_only=True)
class Survey:
    """The accuracies a rule wants to know: when, of how many architectures, on how many images.

    Attributes:
        start: share of the phase that is over when they are taken.
        networks: how many random architectures are evaluated.
        images: how many of the calibrate split are used at most; half of them set the normalisation
            statistics, accuracies are counted on the other half.
    """

    start: float = 0.3
    networks: int = 64
    images: int = 1000

    def __post_init__(self) -> None:
        """Raises InputError for a value out of its range."""
        if not 0 <= self.start < 1:
            raise InputError(f"survey: start must be at least 0 and below 1, but got {self.start}")
        if self.networks < 3:
            raise InputError(f"survey: networks must be at least 3, but got {self.networks}")
        if self.images < 4:
            raise InputError(f"survey: images must be at least 4, but got {self.images}")


@dataclass(frozen=True)
class SamplingRule(ABC):
    """How the architectures of a training step are drawn; gradients of one step are summed.

    Attributes:
        name: in recipes.
        needs_teacher: whether networks learn from a `fixed` one, which is the largest as it is when
            the first phase with such a rule begins.
    """

    name: ClassVar[str]
    needs_teacher: ClassVar[bool] = False

    @abstractmethod
    def draw(
        self, space: Space, rng: np.random.Generator, accuracy_of: AccuracyOf | None = None
    ) -> list[Sampled]:
        """Returns the architectures of one step, in the order they run.

        Args:
            space: of the supernet.
            rng: what is drawn depends on it alone.
            accuracy_of: predicts accuracies, once the survey of the rule has been made.
        """

    @property
    def wanted(self) -> Survey | None:
        """The survey that the rule needs; None where it needs none."""
        return None

    def to_json(self) -> dict[str, Any]:
        """Returns the rule's name and fields."""
        return {"name": self.name, **asdict(self)}


def size_gene(space: Space) -> int:
    """Returns the place of the image size in a genome of a space."""
    (place,) = (place for place, gene in enumerate(space.genes) if gene.group == "r")
    return place
