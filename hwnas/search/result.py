"""What a search returns: the front, and all that a report tells about how it came about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hwnas.predictors import FittedPredictor, Score
from hwnas.search.front import Front
from hwnas.search.goal import Goal
from hwnas.search.inner import Floats
from hwnas.search.pool import Pool
from hwnas.search.truth import FittedLatency
from hwnas.spaces import Candidates


@dataclass(frozen=True)
class Fits:
    """The predictors of one round with their held-out scores.

    Attributes:
        accuracy_pairs: held-out (truth [n], prediction [n]), percent.
    """

    accuracy: FittedPredictor
    accuracy_score: Score
    accuracy_pairs: tuple[Floats, Floats]
    latency: Mapping[str, FittedLatency]


@dataclass(frozen=True, kw_only=True)
class Convergence:
    """One line of `convergence.csv`.

    Attributes:
        stage: `proposed` is what the predictors expect, `measured` what turned out.
        device: the device that was searched, or the competing devices joined by `+`.
        evaluations: candidates priced by predictors (proposed) or evaluated (measured) so far.
        hypervolume: in percent points times the units of the other objectives.
        reference: the point it starts from, by objective.
    """

    round: int
    stage: str
    device: str
    generation: int
    evaluations: int
    hypervolume: float
    reference: Mapping[str, float]

    def to_row(self) -> dict[str, Any]:
        """Returns the columns; the reference point has one for each objective."""
        plain = {name: value for name, value in vars(self).items() if name != "reference"}
        return {**plain, **{f"reference_{name}": value for name, value in self.reference.items()}}


@dataclass
class Tally:
    """What a running search counts.

    Attributes:
        verified: by device, (measured, predicted before) ms of every proposal.
        predicted: by device and candidate, ms.
        certificate: by device, the share of the exact front's hypervolume found last.
        priced: candidates priced by predictors.
        missed: proposals whose p95 broke the target.
    """

    convergence: list[Convergence] = field(default_factory=list)
    verified: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    predicted: dict[str, dict[str, float]] = field(default_factory=dict)
    certificate: dict[str, float] = field(default_factory=dict)
    priced: int = 0
    missed: int = 0


@dataclass(frozen=True, kw_only=True)
class Status:
    """How far a running search is, for whoever watches.

    Attributes:
        hypervolume: the latest of this stage and device, as in `Convergence`.
        best: by device, accuracy and latency of its most accurate model within the limits.
        seconds_left: a guess from the pace so far, within the budget.
    """

    round: int
    rounds: int
    stage: str
    device: str
    generation: int
    priced: int
    evaluated: int
    hypervolume: float
    best: Mapping[str, tuple[float, float]]
    seconds_left: float


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """The front, and what a report tells about how it came about.

    Attributes:
        verified: by device, (measured, predicted before) ms of every proposal.
        baselines: `random` and `compound_scaled` candidates, those that were evaluated.
        proposed, missed: proposals measured, and those whose p95 broke the target.
        rounds: how many rounds ran; `ended` says why no more did.
    """

    front: Front
    fits: Fits
    convergence: Sequence[Convergence]
    verified: Mapping[str, Sequence[tuple[float, float]]]
    baselines: Mapping[str, Candidates]
    proposed: int
    missed: int
    rounds: int
    ended: str
    pool: Pool
    goal: Goal
