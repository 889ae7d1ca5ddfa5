"""Strict fairness: every choice of every gene is trained equally often in every step."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hwnas.errors import InputError
from hwnas.spaces import Space
from hwnas.supernet.training.sampling.rule import AccuracyOf, Sampled, SamplingRule, size_gene


@dataclass(frozen=True)
class Fair(SamplingRule):
    """As many networks a step as the choice counts of all genes divide, each choice equally often.

    All networks of a step see one image size, drawn anew each step, and learn from labels; their
    losses are averaged. A choice that depth switches off in a network counts as used there.

    Source: FairNAS (Chu et al., 2019), section 3.2, "strict fairness", and algorithm 1. There all
    genes have the same number of choices; here their least common multiple takes its place.

    Attributes:
        most_networks: a step may not need more.
    """

    most_networks: int = 24
    name: ClassVar[str] = "fair"

    def draw(
        self, space: Space, rng: np.random.Generator, accuracy_of: AccuracyOf | None = None
    ) -> list[Sampled]:
        """Returns the networks of a step.

        Raises:
            InputError: a step would need more than `most_networks`.
        """
        counts, size = space.choice_counts, size_gene(space)
        num_networks = math.lcm(*(int(count) for count in np.delete(counts, size)))
        if num_networks > self.most_networks:
            raise InputError(
                f"fair sampling of space '{space.name}' needs {num_networks} networks a step, the least "
                f"common multiple of the numbers of its choices, but at most {self.most_networks} are "
                f"allowed; take another recipe, such as sandwich"
            )
        genomes = np.empty((num_networks, len(counts)), dtype=np.int64)
        for place, count in enumerate(counts):
            equally = np.tile(np.arange(count), num_networks // count if place != size else 1)
            genomes[:, place] = rng.integers(count) if place == size else rng.permutation(equally)
        weight = 1 / num_networks
        return [Sampled(one, "labels", weight) for one in space.architectures(genomes)]
