"""Attentive sampling: of several architectures of about equal cost, train the best or the worst."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from hwnas.errors import InputError
from hwnas.spaces import Architecture, Candidates, Space
from hwnas.supernet.training.sampling.rule import AccuracyOf, Sampled, SamplingRule, Survey
from hwnas.supernet.training.sampling.sandwich import sandwich

# Candidates are the nearest in MACs of so many times as many draws.
_DRAWS_A_CANDIDATE = 8


@dataclass(frozen=True)
class Attentive(SamplingRule):
    """The sandwich rule with chosen architectures in place of random ones, once a survey was made.

    For each, one architecture is drawn uniformly, then `num_candidates` with about its MACs (it is
    one of them); the one trained is that of which the highest (`best`) or lowest (`worst`) accuracy
    is predicted. Before the survey it is the plain sandwich rule.

    Source: AttentiveNAS (Wang et al., 2021), sections 3.2 and 3.3, BestUp and WorstUp with the
    accuracy predictor. There MACs are drawn from the distribution of a table made in advance; here
    they have the distribution of uniform draws.

    Attributes:
        choose: `best` or `worst`.
        num_candidates: of which one is chosen.
        num_chosen: how many architectures a step runs beside the largest and the smallest.
        survey: the accuracies that the predictor is fitted on.
        student_weight: of the loss of each architecture but the largest, whose weight is 1.
    """

    choose: Literal["best", "worst"] = "worst"
    num_candidates: int = 50
    num_chosen: int = 2
    survey: Survey = field(default_factory=Survey)
    student_weight: float = 1.0
    name: ClassVar[str] = "attentive"

    def __post_init__(self) -> None:
        """Raises InputError for a value out of its range."""
        if self.choose not in ("best", "worst"):
            raise InputError(f"attentive sampling must choose 'best' or 'worst', but got '{self.choose}'")
        if min(self.num_candidates, self.num_chosen) < 1:
            raise InputError(
                f"attentive sampling needs num_candidates and num_chosen of at least 1, but got "
                f"{self.num_candidates} and {self.num_chosen}"
            )
        if not self.student_weight > 0:
            raise InputError(
                f"attentive sampling needs student_weight above 0, but got {self.student_weight}"
            )

    @property
    def wanted(self) -> Survey:
        """The survey that the predictor is fitted on."""
        return self.survey

    def draw(
        self, space: Space, rng: np.random.Generator, accuracy_of: AccuracyOf | None = None
    ) -> list[Sampled]:
        """Returns largest, smallest, then the chosen ones; random ones where nothing is known yet."""
        if accuracy_of is None:
            return sandwich(space, space.sample(self.num_chosen, rng), self.student_weight)
        chosen = [self._choose(space, rng, accuracy_of) for _ in range(self.num_chosen)]
        return sandwich(space, chosen, self.student_weight)

    def _choose(self, space: Space, rng: np.random.Generator, accuracy_of: AccuracyOf) -> Architecture:
        drawn = Candidates.of_genomes(
            space, space.sample_genomes(_DRAWS_A_CANDIDATE * self.num_candidates, rng)
        )
        macs = drawn.costs().macs
        nearest = np.argsort(np.abs(macs - macs[0]), kind="stable")[: self.num_candidates]
        accuracies = accuracy_of(drawn[nearest])
        row = nearest[accuracies.argmax() if self.choose == "best" else accuracies.argmin()]
        return space.architectures(drawn.genomes[[row]])[0]
