"""What predictors, or a table, say of candidates on a device that is not measured."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hwnas.predictors import FittedPredictor, Prediction
from hwnas.search.front import Figure, Member
from hwnas.search.genome import Genome
from hwnas.search.goal import Figures, Goal
from hwnas.search.inner import Floats
from hwnas.search.pool import cost_figures
from hwnas.search.proposals import Inner
from hwnas.search.sample import scaled_architectures
from hwnas.search.settings import SearchSettings
from hwnas.search.truth import FittedEnergy, TableFigure
from hwnas.spaces import Candidates, Pair

# Random candidates that a margin is the median of.
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
    """The predictors as `Inner` takes them: an `Expected`."""

    predictor: FittedPredictor | TableFigure
    margin: float
    energy: FittedEnergy | None


@dataclass(frozen=True, eq=False)
class ExpectedFigures:
    """One device, the accuracies that all share, and the goal that both are read for.

    Attributes:
        name: of the device.
    """

    name: str
    device: PredictedDevice
    accuracy: FittedPredictor
    goal: Goal

    def inner(self, settings: SearchSettings) -> Inner:
        """Returns the search for this device, with the predictors and their margins."""
        device = self.device
        genome = Genome(self.accuracy.space, device.pairs)
        energy = None
        if self.goal.needs_energy and device.energy is not None:
            energy = FittedEnergy(device.energy, _margin(device.energy, genome))
        return Inner(
            space=self.accuracy.space,
            device=self.name,
            pairs=device.pairs,
            goal=self.goal,
            accuracy=self.accuracy,
            latency=_Expected(device.latency, _margin(device.latency, genome), energy),
            settings=settings,
            reference=self.reference(),
        )

    def bounds(self, candidates: Candidates) -> Figures:
        """Returns the figures of candidates, with upper bounds where limits are held."""
        device = self.device
        latency = predicted(device.latency, candidates)
        figures = {
            **cost_figures(candidates),
            "accuracy_top1": self.accuracy.mean(candidates),
            "latency_ms": latency.mean,
            "p95_ms": latency.high,
        }
        if self.goal.needs_energy and device.energy is not None:
            figures["energy_mj"] = predicted(device.energy, candidates).high
        return figures

    def masked(self, candidates: Candidates) -> Figures:
        """Returns the figures with NaN for candidates at bits that the device does not run."""
        runs = candidates.within(self.device.pairs)
        figures = self.bounds(candidates[runs])
        out = {}
        for key, values in figures.items():
            out[key] = np.full(len(candidates), np.nan)
            out[key][runs] = values
        out["accuracy_top1"] = self.accuracy.mean(candidates)
        return out

    def reference(self) -> Floats:
        """Returns the point that the hypervolume starts from, [objectives], all minimised.

        Chance accuracy, and the largest figure among extremes and scaled networks, or the limit.
        """
        space, goal = self.accuracy.space, self.goal
        architectures = [space.smallest(), space.largest(), *scaled_architectures(space)]
        genome = Genome(space, self.device.pairs)
        ends = genome.decode(genome.encode(Candidates.of_architectures(space, architectures)))
        figures = self.bounds(ends)
        limits = {**goal.limits, "latency_ms": goal.latency_ms[self.name]}
        point = [
            -100.0 / space.num_classes
            if objective == "accuracy_top1"
            else min(float(figures[objective].max()), limits.get(objective, np.inf))
            for objective in goal.objectives
        ]
        return np.array(point)


def expected_members(
    candidates: Candidates, name: str, devices: Mapping[str, PredictedDevice], predictor: FittedPredictor
) -> list[Member]:
    """Returns candidates to deploy on one device, with their figures on all of them."""
    accuracy = predictor.predict(candidates)
    costs = candidates.costs()
    latency, energy = {}, {}
    for device, about in devices.items():
        runs = candidates.within(about.pairs)
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


def _margin(predictor: FittedPredictor | TableFigure, genome: Genome) -> float:
    """How far the 95 % bound lies above the prediction, as a factor, on random candidates."""
    if isinstance(predictor, TableFigure):
        return 1.0
    drawn = genome.decode(genome.sample(_SAMPLE, np.random.default_rng(0)))
    prediction = predictor.predict(drawn)
    return float(np.median(prediction.high / prediction.mean))


def predicted(predictor: FittedPredictor | TableFigure, candidates: Candidates) -> Prediction:
    """Returns values with 90 % intervals; those of a table are exact."""
    if isinstance(predictor, FittedPredictor):
        return predictor.predict(candidates)
    values = predictor.mean(candidates)
    return Prediction(values, values, values)


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
