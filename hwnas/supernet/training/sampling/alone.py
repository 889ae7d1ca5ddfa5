"""One architecture by itself: the stand-alone baseline, and the first phase of progressive shrinking."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hwnas.spaces import Architecture, Space
from hwnas.supernet.training.sampling.rule import AccuracyOf, Sampled, SamplingRule, size_gene


@dataclass(frozen=True)
class Alone(SamplingRule):
    """The same architecture in every step, from labels alone.

    Attributes:
        architecture: which; None for the largest of the space.
        any_size: whether each step draws an image size of the space, in place of the architecture's.
    """

    architecture: Architecture | None = None
    any_size: bool = False
    name: ClassVar[str] = "alone"

    def draw(
        self, space: Space, rng: np.random.Generator, accuracy_of: AccuracyOf | None = None
    ) -> list[Sampled]:
        """Returns the one architecture."""
        architecture = self.architecture or space.largest()
        if self.any_size:
            genomes, place = space.genomes([architecture]), size_gene(space)
            genomes[:, place] = rng.integers(space.choice_counts[place])
            (architecture,) = space.architectures(genomes)
        return [Sampled(architecture, "labels")]

    def to_json(self) -> dict[str, Any]:
        """Returns the rule's name and fields."""
        architecture = None if self.architecture is None else self.architecture.to_json()
        return {"name": self.name, "architecture": architecture, "any_size": self.any_size}
