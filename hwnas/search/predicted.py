"""A search on predictors alone: no supernet, no clock, and every figure marked as predicted."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hwnas.errors import InfeasibleError, InputError
from hwnas.predictors import FittedPredictor, Prediction
from hwnas.progress import Progress
from hwnas.search.fleet import fleet_of
from hwnas.search.front import Figure, Front, Member
from hwnas.search.genome import Genome
from hwnas.search.goal import LIMIT_OPTIONS, Figures, Goal
from hwnas.search.inner import Floats, Found
from hwnas.search.pareto import hypervolume, non_dominated, spread_subset
from hwnas.search.pool import cost_figures
from hwnas.search.proposals import Inner, for_the_fleet
from hwnas.search.result import Convergence
from hwnas.search.sample import scaled_architectures
from hwnas.search.settings import SearchSettings
from hwnas.search.truth import FittedEnergy, TableFigure
from hwnas.spaces import Candidates, Pair, Space

# Of a front of hundreds so many are kept, spread over it.
_MOST = 50
_SAMPLE = 500


@dataclass(frozen=True, eq=False)
class PredictedDevice:
    """A device that is known by predictors or by its table alone.

    Attributes:
        kind: `predicted`, or `simulated` for a table.
        pairs: weight and activation bits to choose from.
        latency: of latency in ms; its 95 % bound stands for p95.
        energy: of energy in mJ; None where there is none.
        facts: about it, for `front.json`.
    """

    kind: str
    pairs: tuple[Pair, ...]
    latency: FittedPredictor | TableFigure
    energy: FittedPredictor | TableFigure | None
    facts: Mapping[str, object]


@dataclass(frozen=True, eq=False)
class _Expected:
    predictor: FittedPredictor | TableFigure
    margin: float
    energy: FittedEnergy | None


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
        references = {name: self._reference(name, goal) for name in self.devices}
        inners = {name: self._inner(name, goal, references[name]) for name in self.devices}
        for index, name in enumerate(self.devices):
            inner = inners[name]
            heard = self._listener(name, goal, references[name], convergence)
            seed = int(np.random.default_rng([self.settings.seed, index]).integers(2**31))
            proposed = inner.run(self._nothing(), seed, heard)
            if proposed.certificate is not None:
                certificate[name] = proposed.certificate
            kept = goal.kept(self._bounds(name, proposed.candidates, goal), name)
            candidates, objectives = proposed.candidates[kept], proposed.objectives[kept]
            found[name] = candidates[spread_subset(objectives, _MOST)] if len(candidates) else candidates
        if not any(map(len, found.values())):
            raise InfeasibleError(self._nearest(goal))
        found["the fleet"] = self._for_the_fleet(inners)
        return self._front(goal, found, references, certificate), convergence

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

    def _inner(self, name: str, goal: Goal, reference: Floats) -> Inner:
        device = self.devices[name]
        energy = None
        if goal.needs_energy and device.energy is not None:
            energy = FittedEnergy(device.energy, self._margin(device.energy, device.pairs))
        return Inner(
            space=self.space,
            device=name,
            pairs=device.pairs,
            goal=goal,
            accuracy=self.accuracy,
            latency=_Expected(device.latency, self._margin(device.latency, device.pairs), energy),
            settings=self.settings,
            reference=reference,
        )

    def _margin(self, predictor: FittedPredictor | TableFigure, pairs: tuple[Pair, ...]) -> float:
        """How far the 95 % bound lies above the prediction, as a factor, on random candidates."""
        if isinstance(predictor, TableFigure):
            return 1.0
        genome = Genome(self.space, pairs)
        drawn = genome.decode(genome.sample(_SAMPLE, np.random.default_rng(0)))
        prediction = predictor.predict(drawn)
        return float(np.median(prediction.high / prediction.mean))

    def _bounds(self, name: str, candidates: Candidates, goal: Goal) -> Figures:
        """The figures of candidates, with upper bounds where limits are held."""
        device = self.devices[name]
        latency = predicted(device.latency, candidates)
        figures = {
            **cost_figures(candidates),
            "accuracy_top1": self.accuracy.mean(candidates),
            "latency_ms": latency.mean,
            "p95_ms": latency.high,
        }
        if goal.needs_energy and device.energy is not None:
            figures["energy_mj"] = predicted(device.energy, candidates).high
        return figures

    def _reference(self, name: str, goal: Goal) -> Floats:
        """Chance accuracy, and the largest figure among extremes and scaled networks, or the limit."""
        architectures = [self.space.smallest(), self.space.largest(), *scaled_architectures(self.space)]
        pairs = self.devices[name].pairs
        some = [Candidates.of_architectures(self.space, architectures)]
        genome = Genome(self.space, pairs)
        ends = Candidates.concatenate(some)
        ends = genome.decode(genome.encode(ends))
        figures = self._bounds(name, ends, goal)
        limits = {**goal.limits, "latency_ms": goal.latency_ms[name]}
        point = [
            -100.0 / self.space.num_classes
            if objective == "accuracy_top1"
            else min(float(figures[objective].max()), limits.get(objective, np.inf))
            for objective in goal.objectives
        ]
        return np.array(point)

    def _listener(
        self, name: str, goal: Goal, reference: Floats, convergence: list[Convergence]
    ) -> "_Listener":
        return _Listener(self.progress, self.settings.inner_evaluations, name, goal, reference, convergence)

    def _nothing(self) -> Candidates:
        return Candidates.of_genomes(self.space, np.zeros((0, len(self.space.genes)), dtype=np.int64))

    def _nearest(self, goal: Goal) -> str:
        """What to say where nothing is expected to keep the limits."""
        ranked = []
        for name, device in self.devices.items():
            genome = Genome(self.space, device.pairs)
            rng = np.random.default_rng(self.settings.seed)
            ends = np.zeros((2, len(genome.choice_counts)), dtype=np.int64)
            ends[1, len(self.space.genes) :] = genome.choice_counts[len(self.space.genes) :] - 1
            drawn = genome.decode(np.concatenate([genome.canonical(ends), genome.sample(2000, rng)]))
            figures = self._bounds(name, drawn, goal)
            worst = goal.excess(figures, name).max(axis=1)
            row = int(worst.argmin())
            ranked.append((float(worst[row]), name, {k: float(v[row]) for k, v in figures.items()}))
        _, name, figures_of = min(ranked, key=lambda entry: entry[0])
        broken = [LIMIT_OPTIONS[key] for key, limit in goal.on(name).items() if figures_of[key] > limit]
        return (
            f"no network is expected to keep all limits; the nearest (on {name}) has "
            f"{goal.say(figures_of, name)}: raise {' or '.join(broken) or 'the limits'}, or choose another "
            "space or device"
        )

    def _front(
        self,
        goal: Goal,
        found: Mapping[str, Candidates],
        references: Mapping[str, Floats],
        certificate: Mapping[str, float],
    ) -> Front:
        every = Candidates.concatenate(list(found.values()))
        every = every[every.first_of_each()]
        bounds = {name: self._masked(name, every, goal) for name in self.devices}
        members: dict[str, Member] = {}
        fronts, total = {}, 0.0
        for name in self.devices:
            kept = np.flatnonzero(goal.kept(bounds[name], name))
            points = goal.points(bounds[name])[kept]
            rows = kept[non_dominated(points)]
            rows = rows[bounds[name]["latency_ms"][rows].argsort(kind="stable")]
            total += hypervolume(points, references[name])
            for member in self._members(every[rows], name):
                members.setdefault(member.id, member)
            fronts[name] = tuple(every[rows].ids)
        groups = [[name] for name in self.devices]
        fleet = fleet_of(every.ids, bounds, groups, goal) if len(groups) > 1 else None
        if fleet and fleet["id"] is not None and fleet["id"] not in members:
            row = every.ids.index(fleet["id"])
            members[fleet["id"]] = self._members(every[[row]], next(iter(self.devices)))[0]
        finite = {name: limit for name, limit in goal.latency_ms.items() if np.isfinite(limit)}
        alike = len(finite) == len(goal.latency_ms) and len(set(finite.values())) == 1
        worst = np.max(list(references.values()), axis=0)
        return Front(
            space=self.space.name,
            devices={name: {"kind": device.kind, **device.facts} for name, device in self.devices.items()},
            target_latency_ms=next(iter(finite.values())) if alike else (finite or None),
            reference_point={
                objective: float(-value if objective == "accuracy_top1" else value)
                for objective, value in zip(goal.objectives, worst, strict=True)
            },
            hypervolume=total,
            members=tuple(members.values()),
            objectives=goal.objectives,
            fronts=fronts,
            limits=goal.limits,
            fleet=fleet,
            certificate=certificate,
        )

    def _masked(self, name: str, candidates: Candidates, goal: Goal) -> Figures:
        """Figures with NaN for candidates at bits that the device does not run."""
        runs = _runs(candidates, self.devices[name])
        figures = self._bounds(name, candidates[runs], goal)
        out = {}
        for key, values in figures.items():
            out[key] = np.full(len(candidates), np.nan)
            out[key][runs] = values
        out["accuracy_top1"] = self.accuracy.mean(candidates)
        return out

    def _members(self, candidates: Candidates, name: str) -> list[Member]:
        accuracy = self.accuracy.predict(candidates)
        costs = candidates.costs()
        latency, energy = {}, {}
        for device, about in self.devices.items():
            runs = _runs(candidates, about)
            latency[device] = _figures(about.latency, about.kind, candidates, runs)
            if about.energy is not None:
                energy[device] = _figures(about.energy, about.kind, candidates, runs)
        members = []
        for row, one in enumerate(candidates.unpack()):
            on = {device: figures[row] for device, figures in latency.items()}
            members.append(
                Member(
                    id=one.id,
                    deploy_on=name,
                    architecture=one.architecture.to_json(),
                    bits=one.bits.to_json(),
                    accuracy_top1={**_figure(accuracy, row), "kind": "predicted"},
                    latency_ms={device: figure for device, figure in on.items() if figure is not None},
                    energy_mj=energy[name][row] if name in energy else None,
                    size_bytes=int(costs.weight_bytes[row]),
                    macs=int(costs.macs[row]),
                    params=int(costs.params[row]),
                    bitops=int(costs.bitops[row]),
                    peak_memory_bytes=int(costs.peak_memory_bytes[row]),
                )
            )
        return members


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
        if len(self.goal.objectives) > 2 and found.priced < self.wanted:
            return
        pairs = zip(self.goal.objectives, self.reference.tolist(), strict=True)
        self.convergence.append(
            Convergence(
                round=1,
                stage="proposed",
                device=self.name,
                generation=generation,
                evaluations=found.priced,
                hypervolume=hypervolume(found.objectives, self.reference),
                reference={key: -value if key == "accuracy_top1" else value for key, value in pairs},
            )
        )


def predicted(predictor: FittedPredictor | TableFigure, candidates: Candidates) -> Prediction:
    """Returns values with 90 % intervals; those of a table are exact."""
    if isinstance(predictor, FittedPredictor):
        return predictor.predict(candidates)
    values = predictor.mean(candidates)
    return Prediction(values, values, values)


def _runs(candidates: Candidates, device: PredictedDevice) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    return candidates.within(device.pairs)


def _figures(
    predictor: FittedPredictor | TableFigure,
    kind: str,
    candidates: Candidates,
    runs: "np.ndarray[tuple[int], np.dtype[np.bool_]]",
) -> list[Figure | None]:
    """A figure for each candidate; None at bits that the device does not run."""
    prediction = predicted(predictor, candidates[runs])
    places = np.cumsum(runs) - 1
    return [
        {**_figure(prediction, int(place)), "kind": kind, "p95": float(prediction.high[place])}
        if run
        else None
        for run, place in zip(runs.tolist(), places.tolist(), strict=True)
    ]


def _figure(prediction: Prediction, row: int) -> dict[str, float]:
    return {
        "value": float(prediction.mean[row]),
        "low": float(prediction.low[row]),
        "high": float(prediction.high[row]),
    }
