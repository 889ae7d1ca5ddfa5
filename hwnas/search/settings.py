"""Everything a search depends on, as one value that is written into its run folder."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from hwnas.errors import InputError
from hwnas.search.evolution import OfaEvolution, RegularizedEvolution
from hwnas.search.inner import Algorithm, RandomSearch
from hwnas.search.nsga2 import Nsga2
from hwnas.search.nsga3 import Nsga3

METHODS = ("nsga2", "nsga3", "exact", "regularized", "ofa", "random")
# What may be an objective, by the word for it on the command line.
OBJECTIVES = {
    "accuracy": "accuracy_top1",
    "latency": "latency_ms",
    "energy": "energy_mj",
    "size": "size_bytes",
    "memory": "peak_memory_bytes",
    "bitops": "bitops",
}
_LEAST_SAMPLE = 12


@dataclass(frozen=True, kw_only=True)
class Soft:
    """A weighted product instead of a limit: reward = accuracy x (latency / target) ^ weight.

    Attributes:
        alpha: the weight within the target; 0 with beta -1 is the hard variant.
        beta: the weight beyond it.

    Source: MnasNet (Tan et al., 2019), section 3, equations 2 and 3; -0.07 for both as published:
    doubling the latency is worth 5 % more accuracy, relatively.
    """

    alpha: float = -0.07
    beta: float = -0.07


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """Knobs of the main road; the same settings and truths give the same front.

    Attributes:
        target_latency_ms: the 95th percentile of a member's latency must not be above it; None for
            no limit.
        device_targets_ms: targets of devices that have one of their own.
        target_energy_mj, max_size_bytes, max_memory_bytes: limits that no member breaks; None for
            no limit. Size is that of packed weights, memory that of activations alive at once.
        objectives: two to four of the values of `OBJECTIVES`, accuracy among them.
        soft: reward latency instead of limiting it; the target is then what rewards are relative to.
        bits: bitwidths to choose from on every device that runs them; empty takes all it runs.
        method: how candidates are proposed from the predictors; one of `METHODS`.
        additive: fit predictors that are sums over layers, so that the exact front is known, and
            how far a search is from it; `exact` needs them.
        inner_evaluations: candidates that a method prices by predictors for each proposal.
        initial_evaluations: candidates evaluated before the first proposal: extremes, compound
            scaling, and random ones.
        profile_samples: candidates measured on each device before the first proposal: the initial
            ones, and more that are chosen where they tell most about the front.
        rounds: at most so many times: propose, measure and evaluate, refit.
        evaluations_per_round: candidates a round, shared by the devices.
        growth: where that is more, a round takes this share of what is evaluated already: later
            rounds move predictors less, and refitting costs more.
        evaluations: no more than so many candidates are evaluated on the validation split; None
            for what the rounds come to.
        epsilon: two rounds in a row that raise the hypervolume by less than this share end it.
        images: so many images of the validate split, and of the test split, are evaluated on, the
            first ones; None for all.
        budget_s: no round starts after so many seconds; None for no limit. A run with a budget
            depends on the machine's speed, not on the seed alone.
        miss_rate: chance that a proposal right at the target turns out above it; sets the margin.
            Every member is measured, so a miss costs an evaluation, never a promise.
    """

    target_latency_ms: float | None = None
    device_targets_ms: Mapping[str, float] = field(default_factory=dict)
    target_energy_mj: float | None = None
    max_size_bytes: float | None = None
    max_memory_bytes: float | None = None
    objectives: tuple[str, ...] = ("accuracy_top1", "latency_ms")
    soft: Soft | None = None
    bits: tuple[int, ...] = ()
    method: str = "nsga2"
    additive: bool = False
    seed: int = 0
    inner_evaluations: int = 4000
    initial_evaluations: int = 56
    profile_samples: int = 80
    rounds: int = 4
    evaluations_per_round: int = 16
    growth: float = 0.2
    evaluations: int | None = None
    epsilon: float = 0.002
    images: int | None = None
    budget_s: float | None = None
    miss_rate: float = 0.25

    @staticmethod
    def of(*, samples: int | None, evaluations: int | None, **knobs: Any) -> "SearchSettings":
        """Returns settings with the defaults for what is None.

        Args:
            samples: networks measured on each device first.
            evaluations: so many in all; half of them before the first proposal.
            knobs: other fields.

        Raises:
            InputError: a figure that makes no sense.
        """
        usual = SearchSettings()
        initial = max(12, evaluations // 2) if evaluations else usual.initial_evaluations
        each = usual.evaluations_per_round
        return SearchSettings(
            initial_evaluations=initial,
            evaluations=evaluations,
            profile_samples=samples or max(usual.profile_samples, initial),
            rounds=max(1, -(-(evaluations - initial) // each)) if evaluations else usual.rounds,
            **{name: value for name, value in knobs.items() if value is not None},
        )

    def __post_init__(self) -> None:
        """Raises InputError where a figure makes no sense."""
        if self.method not in METHODS:
            raise InputError(f"--method must be one of {', '.join(METHODS)}, but got '{self.method}'")
        for name in ("initial_evaluations", "profile_samples", "rounds", "evaluations_per_round"):
            least = _LEAST_SAMPLE if name in ("initial_evaluations", "profile_samples") else 1
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}, but got {getattr(self, name)}")
        if not 0 < self.miss_rate < 1:
            raise InputError(f"miss_rate must be between 0 and 1, but got {self.miss_rate}")
        if not 0 <= self.growth <= 10:
            raise InputError(f"growth must be from 0 to 10, but got {self.growth}")
        if self.evaluations is not None and self.evaluations < self.initial_evaluations:
            raise InputError(
                f"evaluations must be at least the {self.initial_evaluations} initial ones, but got "
                f"{self.evaluations}"
            )
        if not 0 <= self.epsilon < 1:
            raise InputError(f"--epsilon must be from 0 to below 1, but got {self.epsilon}")
        self._check_objectives()
        if self.soft and self.target_latency_ms is None:
            raise InputError("--soft weighs latency against a target; add --target-latency")
        if self.soft and not (np.isfinite(self.soft.alpha) and np.isfinite(self.soft.beta)):
            raise InputError("--soft-alpha and --soft-beta must be finite numbers, such as -0.07")
        if self.soft and max(self.soft.alpha, self.soft.beta) > 0:
            raise InputError(
                f"--soft-alpha and --soft-beta must not be above zero, but got {self.soft.alpha} and "
                f"{self.soft.beta}; a slower network would be worth more"
            )

    def _check_objectives(self) -> None:
        names = self.objectives
        known = ", ".join(OBJECTIVES)
        if len(set(names)) != len(names) or not 2 <= len(names) <= 4 or "accuracy_top1" not in names:
            raise InputError(
                f"--objectives must be two to four different ones of {known}, accuracy among them, "
                f"but got {', '.join(names)}"
            )
        if not set(names) <= set(OBJECTIVES.values()):
            raise InputError(f"--objectives must be of {known}, but got {', '.join(names)}")
        limits = (self.target_energy_mj, self.max_size_bytes, self.max_memory_bytes)
        plain = names == ("accuracy_top1", "latency_ms") and not any(limits)
        if not plain and self.method == "exact":
            raise InputError(
                "--method exact knows accuracy against latency with a latency target alone; "
                "drop the other objectives and limits, or use --method nsga2"
            )
        if self.soft and "latency_ms" not in names:
            raise InputError("--soft rewards latency; keep it among --objectives")

    def limits_ms(self, devices: Sequence[str]) -> dict[str, float]:
        """Returns the limit of p95 on each device; infinite without one, or with a soft target."""
        usual = np.inf if self.target_latency_ms is None else self.target_latency_ms
        return {
            name: np.inf if self.soft else float(self.device_targets_ms.get(name, usual)) for name in devices
        }

    def shown_target_ms(self, devices: Sequence[str]) -> float | dict[str, float] | None:
        """Returns the target of a front: one figure, or one a device where they differ; None for none."""
        if self.soft:
            return self.target_latency_ms
        finite = {name: limit for name, limit in self.limits_ms(devices).items() if np.isfinite(limit)}
        if len(finite) == len(devices) and len(set(finite.values())) == 1:
            return next(iter(finite.values()))
        return finite or None

    def algorithm(self) -> Algorithm:
        """Returns the inner search; `exact` proposes by itself where predictors allow it."""
        chosen: dict[str, Algorithm] = {
            "nsga3": Nsga3(),
            "regularized": RegularizedEvolution(),
            "ofa": OfaEvolution(),
            "random": RandomSearch(),
        }
        return chosen.get(self.method, Nsga2())

    def to_json(self) -> dict[str, Any]:
        """Returns the settings as a JSON object."""
        return {
            **asdict(self),
            "bits": list(self.bits),
            "objectives": list(self.objectives),
            "device_targets_ms": dict(self.device_targets_ms),
        }
