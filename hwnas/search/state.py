"""What a running search knows: its truths, and what is derived from them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hwnas.progress import Progress
from hwnas.search.goal import Goal
from hwnas.search.inner import Floats
from hwnas.search.pareto import non_dominated
from hwnas.search.pool import Pool, known_figures
from hwnas.search.result import Fits, Tally
from hwnas.search.settings import SearchSettings
from hwnas.search.truth import Accuracies, Latencies
from hwnas.spaces import Candidates, Space


@dataclass(frozen=True, kw_only=True, eq=False)
class State:
    """The truths of a search, which grow, beside what was asked for.

    Attributes:
        latencies: of each device.
        groups: names of devices that compete for one front.
        references: where the hypervolume of each device starts from, [objectives], all minimised;
            empty until `set_references`.
        started: the monotonic clock at the beginning, s.
    """

    space: Space
    settings: SearchSettings
    goal: Goal
    accuracies: Accuracies
    latencies: Sequence[Latencies]
    groups: Sequence[list[str]]
    progress: Progress
    references: dict[str, Floats] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    started: float = field(default_factory=time.monotonic)

    def learn(self, candidates: Candidates) -> None:
        """Evaluates candidates, and measures them wherever they run as they are."""
        candidates = candidates[candidates.first_of_each()]
        for one in self.latencies:
            one.learn(candidates[np.flatnonzero(one.runs(candidates))])
        self.accuracies.learn(
            candidates, lambda done, total: self.progress.step("evaluate accuracy", done, total)
        )

    def fit(self) -> Fits:
        """Returns predictors of all that is known."""
        settings = self.settings
        additive = settings.additive or settings.method == "exact"
        predictor, score, truth, held_out = self.accuracies.fit(settings.seed, additive)
        latency = {
            one.device.name: one.fit(
                settings.seed, settings.miss_rate, energy=self.goal.needs_energy, additive=additive
            )
            for one in self.latencies
        }
        return Fits(predictor, score, (truth, held_out), latency)

    def set_references(self) -> None:
        """Sets the reference points: chance accuracy, and the largest figure or the limit on it."""
        chance = 100.0 / self.space.num_classes
        for group in self.groups:
            members = [one for one in self.latencies if one.device.name in group]
            point = []
            for objective in self.goal.objectives:
                if objective == "accuracy_top1":
                    point.append(-chance)
                    continue
                largest = max(float(np.nanmax(known_figures(one)[objective])) for one in members)
                limit = self.goal.limits.get(objective, np.inf)
                if objective == "latency_ms":
                    limit = max(self.goal.latency_ms[name] for name in group)
                point.append(min(largest, limit))
            for name in group:
                self.references[name] = np.array(point)

    @property
    def left(self) -> int | None:
        """How many candidates may still be evaluated; None without a limit."""
        most = self.settings.evaluations
        return None if most is None else max(0, most - len(self.accuracies.known))

    @property
    def spent_s(self) -> float:
        """The time since the beginning."""
        return time.monotonic() - self.started

    def pool(self) -> Pool:
        """Returns what is known for sure."""
        return Pool.of(self.accuracies, self.latencies)

    def known_front(self, one: Latencies) -> Candidates:
        """Returns the non-dominated known candidates of one device within the limits; may be none."""
        pool = Pool.of(self.accuracies, [one])
        objectives, _ = pool.points([one.device.name], self.goal)
        return pool.candidates[non_dominated(objectives)]
