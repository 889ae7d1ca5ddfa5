"""Everything a search depends on, as one value that is written into its run folder."""

from dataclasses import asdict, dataclass, field
from typing import Any

from hwnas.errors import InputError
from hwnas.search.nsga2 import Nsga2Settings

METHODS = ("nsga2", "random")


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """Knobs of the main road; the same settings and truths give the same front.

    Attributes:
        target_latency_ms: the 95th percentile of a member's latency must not be above it.
        bits: bitwidths to choose from on every device that runs them; empty takes all it runs.
        method: how candidates are proposed from the predictors: `nsga2`, or `random` to compare.
        initial_evaluations: candidates evaluated before the first proposal: extremes, compound
            scaling, and random ones.
        profile_samples: candidates measured on each device before the first proposal; the initial
            ones and more.
        rounds: at most so many times: propose, measure and evaluate, refit.
        evaluations_per_round: candidates a round, shared by the devices.
        epsilon: two rounds in a row that raise the hypervolume by less than this share end it.
        images: so many images of the validate split, and of the test split, are evaluated on, the
            first ones; None for all.
        budget_s: no round starts after so many seconds; None for no limit. A run with a budget
            depends on the machine's speed, not on the seed alone.
        miss_rate: chance that a proposal right at the target turns out above it; sets the margin.
            Every member is measured, so a miss costs an evaluation, never a promise.
    """

    target_latency_ms: float
    bits: tuple[int, ...] = ()
    method: str = "nsga2"
    seed: int = 0
    initial_evaluations: int = 56
    profile_samples: int = 80
    rounds: int = 4
    evaluations_per_round: int = 16
    epsilon: float = 0.002
    images: int | None = None
    budget_s: float | None = None
    miss_rate: float = 0.25
    nsga2: Nsga2Settings = field(default_factory=Nsga2Settings)

    def __post_init__(self) -> None:
        """Raises InputError where a figure makes no sense."""
        if self.method not in METHODS:
            raise InputError(f"--method must be one of {', '.join(METHODS)}, but got '{self.method}'")
        for name in ("initial_evaluations", "profile_samples", "rounds", "evaluations_per_round"):
            least = 12 if name in ("initial_evaluations", "profile_samples") else 1
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}, but got {getattr(self, name)}")

    def to_json(self) -> dict[str, Any]:
        """Returns the settings as a JSON object."""
        return {**asdict(self), "bits": list(self.bits)}
