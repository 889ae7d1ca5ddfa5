"""What a search returns: the front, and all that a report tells about how it came about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hwnas.predictors import FittedPredictor, Score
from hwnas.search.front import Front
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
        hypervolume: percent points x ms.
    """

    round: int
    stage: str
    device: str
    generation: int
    evaluations: int
    hypervolume: float
    reference_accuracy_top1: float
    reference_latency_ms: float


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
