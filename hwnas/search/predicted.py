"""A search on predictors alone: no supernet, no clock, and every figure marked as predicted."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hwnas.errors import InfeasibleError, InputError
from hwnas.predictors import FittedPredictor
from hwnas.progress import Progress
from hwnas.search.expected import ExpectedFigures, PredictedDevice, expected_members
from hwnas.search.fleet import fleet_of
from hwnas.search.front import Front, Member
from hwnas.search.genome import Genome, cheapest_and_random, joined
from hwnas.search.goal import LIMIT_OPTIONS, Goal
from hwnas.search.inner import Floats, Found
from hwnas.search.pareto import hypervolume, non_dominated, spread_subset
from hwnas.search.proposals import Inner, for_the_fleet
from hwnas.search.result import Convergence
from hwnas.search.settings import SearchSettings
from hwnas.spaces import Candidates, Space

# Of a front of hundreds so many are kept, spread over it.
_MOST = 50


@dataclass(frozen=True, kw_only=True)
class PredictedSearch:
    """A search whose accuracies a predictor gives, as do latencies, or a table.

    Attributes:
        devices: by name; each has a front of its own.
    """

    space: Space
    accuracy: FittedPredictor
    devices: Mapping[str, PredictedDevice]
    settings: SearchSettings
    progress: Progress

    def run(self) -> tuple[Front, list[Convergence]]:
        """Returns the front and how it came about.

        Raises:
            InputError: a predictor of another space or metric, or no energies where they matter.
            InfeasibleError: no candidate is expected to keep the limits on any device.
        """
        goal = Goal.of(self.settings, list(self.devices))
        self._check(goal)
        convergence: list[Convergence] = []
        found: dict[str, Candidates] = {}
        certificate: dict[str, float] = {}
        expected = {
            name: ExpectedFigures(name, device, self.accuracy, goal) for name, device in self.devices.items()
        }
        inners = {name: one.inner(self.settings) for name, one in expected.items()}
        for index, name in enumerate(self.devices):
            inner = inners[name]
            heard = self._listener(name, goal, inner.reference, convergence)
            seed = int(np.random.default_rng([self.settings.seed, index]).integers(2**31))
            proposed = inner.run(self._nothing(), seed, heard)
            if proposed.certificate is not None:
                certificate[name] = proposed.certificate
            kept = goal.kept(expected[name].bounds(proposed.candidates), name)
            candidates, objectives = proposed.candidates[kept], proposed.objectives[kept]
            found[name] = candidates[spread_subset(objectives, _MOST)] if len(candidates) else candidates
        if not any(map(len, found.values())):
            raise InfeasibleError(self._nearest(expected))
        found["the fleet"] = self._for_the_fleet(inners)
        return self._front(expected, inners, found, certificate), convergence

    def _for_the_fleet(self, inners: Mapping[str, Inner]) -> Candidates:
        """The candidates that are expected to be most accurate within all devices' limits."""
        if len(inners) == 1:
            return self._nothing()
        proposed = for_the_fleet(inners, [[name] for name in inners], self._nothing(), self.settings.seed)
        if proposed is None:
            return self._nothing()
        best = np.argsort(proposed.objectives[:, 0], kind="stable")[:_MOST]
        return proposed.candidates[best]

    def _check(self, goal: Goal) -> None:
        named = {"the accuracy predictor": (self.accuracy, "accuracy")}
        for name, device in self.devices.items():
            if isinstance(device.latency, FittedPredictor):
                named[f"the latency predictor of {name}"] = (device.latency, "latency")
            if goal.needs_energy and device.energy is None:
                raise InputError(
                    f"device '{name}' has no energies; drop --target-energy and the objective energy, or "
                    "name a device whose table has them"
                )
        for what, (predictor, metric) in named.items():
            if predictor.space.key != self.space.key:
                raise InputError(
                    f"{what} must be for space '{self.space.key}', but is for '{predictor.space.key}'"
                )
            if not predictor.metric.startswith(metric):
                raise InputError(
                    f"{what} must predict {metric}, but predicts {predictor.metric}; name another file"
                )

    def _listener(
        self, name: str, goal: Goal, reference: Floats, convergence: list[Convergence]
    ) -> "_Listener":
        return _Listener(self.progress, self.settings.inner_evaluations, name, goal, reference, convergence)

    def _nothing(self) -> Candidates:
        return Candidates.of_genomes(self.space, np.zeros((0, len(self.space.genes)), dtype=np.int64))

    def _nearest(self, expected: Mapping[str, ExpectedFigures]) -> str:
        """What to say where nothing is expected to keep the limits."""
        ranked = []
        for name, device in self.devices.items():
            rng = np.random.default_rng(self.settings.seed)
            drawn = cheapest_and_random(Genome(self.space, device.pairs), 2000, rng)
            figures, goal = expected[name].bounds(drawn), expected[name].goal
            worst = goal.excess(figures, name).max(axis=1)
            row = int(worst.argmin())
            ranked.append((float(worst[row]), name, {k: float(v[row]) for k, v in figures.items()}))
        _, name, figures_of = min(ranked, key=lambda entry: entry[0])
        goal = expected[name].goal
        broken = [LIMIT_OPTIONS[key] for key, limit in goal.on(name).items() if figures_of[key] > limit]
        return (
            f"no network is expected to keep all limits; the nearest (on {name}) has "
            f"{goal.say(figures_of, name)}: raise {' or '.join(broken) or 'the limits'}, or choose another "
            "space or device"
        )

    def _front(
        self,
        expected: Mapping[str, ExpectedFigures],
        inners: Mapping[str, Inner],
        found: Mapping[str, Candidates],
        certificate: Mapping[str, float],
    ) -> Front:
        goal = next(iter(expected.values())).goal
        every = joined(list(found.values()))
        bounds = {name: one.masked(every) for name, one in expected.items()}
        members: dict[str, Member] = {}
        fronts, total = {}, 0.0
        for name in self.devices:
            kept = np.flatnonzero(goal.kept(bounds[name], name))
            points = goal.points(bounds[name])[kept]
            rows = kept[non_dominated(points)]
            rows = rows[bounds[name]["latency_ms"][rows].argsort(kind="stable")]
            total += hypervolume(points, inners[name].reference)
            for member in expected_members(every[rows], name, self.devices, self.accuracy):
                members.setdefault(member.id, member)
            fronts[name] = tuple(every[rows].ids)
        groups = [[name] for name in self.devices]
        fleet = fleet_of(every.ids, bounds, groups, goal) if len(groups) > 1 else None
        if fleet and fleet["id"] is not None and fleet["id"] not in members:
            row = every.ids.index(fleet["id"])
            first = next(iter(self.devices))
            members[fleet["id"]] = expected_members(every[[row]], first, self.devices, self.accuracy)[0]
        names = list(self.devices)
        return Front(
            space=self.space.name,
            devices={name: {"kind": device.kind, **device.facts} for name, device in self.devices.items()},
            target_latency_ms=None if self.settings.soft else self.settings.shown_target_ms(names),
            reference_point=goal.named(np.max([one.reference for one in inners.values()], axis=0)),
            hypervolume=total,
            members=tuple(members.values()),
            objectives=goal.objectives,
            fronts=fronts,
            limits=goal.limits,
            fleet=fleet,
            certificate=certificate,
        )


@dataclass(frozen=True, eq=False)
class _Listener:
    progress: Progress
    wanted: int
    name: str
    goal: Goal
    reference: Floats
    convergence: list[Convergence]

    def __call__(self, generation: int, found: Found) -> None:
        self.progress.step(f"search for {self.name}", min(found.priced, self.wanted), self.wanted)
        # Beyond two objectives the volume costs more than the generation: at the end alone.
        if len(self.goal.objectives) > 2 and found.priced < self.wanted:
            return
        self.convergence.append(
            Convergence(
                round=1,
                stage="proposed",
                device=self.name,
                generation=generation,
                evaluations=found.priced,
                hypervolume=hypervolume(found.objectives, self.reference),
                reference=self.goal.named(self.reference),
            )
        )
