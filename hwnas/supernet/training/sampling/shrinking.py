"""Progressive shrinking: random subnets of a part of the space, taught by a fixed largest network."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from hwnas.errors import InputError
from hwnas.spaces import Space
from hwnas.supernet.training.sampling.rule import AccuracyOf, Sampled, SamplingRule, size_gene


@dataclass(frozen=True)
class ProgressiveShrinking(SamplingRule):
    """Random architectures from the largest choices of some genes; all others stay at the largest.

    All networks of a step see one image size, drawn anew each step. With a `distillation` of 0.5 in
    the recipe and a weight of 2, the loss is the published sum of both cross-entropies.

    Source: Once-for-All (Cai et al., 2020), section 3.3 and official code.

    Attributes:
        num_networks: how many a step runs.
        open: by gene group, how many of its largest choices are drawn from: {"ks": 3, "d": 2}.
        weight: of each network's loss.
    """

    num_networks: int = 1
    open: Mapping[str, int] = field(default_factory=dict)
    weight: float = 2.0
    name: ClassVar[str] = "progressive_shrinking"
    needs_teacher: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Raises InputError for a value out of its range."""
        if self.num_networks < 1:
            raise InputError(
                f"progressive shrinking needs num_networks of at least 1, but got {self.num_networks}"
            )
        if not self.weight > 0:
            raise InputError(f"progressive shrinking needs a weight above 0, but got {self.weight}")

    def draw(
        self, space: Space, rng: np.random.Generator, accuracy_of: AccuracyOf | None = None
    ) -> list[Sampled]:
        """Returns the networks of a step.

        Raises:
            InputError: `open` names a group that no gene of the space has.
        """
        unknown = sorted(set(self.open) - {gene.group for gene in space.genes})
        if unknown:
            raise InputError(
                f"progressive shrinking opens {', '.join(unknown)}, but space '{space.name}' has no "
                f"such genes"
            )
        counts = space.choice_counts
        lowest = np.array(
            [max(0, len(gene.choices) - self.open.get(gene.group, 1)) for gene in space.genes],
            dtype=np.int64,
        )
        genomes = rng.integers(lowest, counts, size=(self.num_networks, len(counts)))
        size = size_gene(space)
        genomes[:, size] = rng.integers(counts[size])
        return [Sampled(one, "fixed", self.weight) for one in space.architectures(genomes)]
