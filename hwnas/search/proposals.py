"""What the predictors propose for one device, or for all of them together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hwnas.errors import InputError
from hwnas.predictors import AdditiveTerms, FittedPredictor, additive_terms
from hwnas.search.additive import ExactCandidates, exact_candidates
from hwnas.search.genome import Genome
from hwnas.search.goal import Figures, Goal
from hwnas.search.inner import Floats, Found, Ints, OnGeneration, Problem
from hwnas.search.pareto import hypervolume
from hwnas.search.pool import cost_figures
from hwnas.search.settings import SearchSettings
from hwnas.search.truth import FittedEnergy, FittedLatency, TableFigure
from hwnas.spaces import Candidates, Pair, Space

_COSTS = ("size_bytes", "peak_memory_bytes", "bitops")


class Expected(Protocol):
    """Predictors of one device and the margins that limits on them are held under."""

    @property
    def predictor(self) -> FittedPredictor | TableFigure:
        """Of latency."""

    @property
    def margin(self) -> float:
        """Of p95 over predicted latency."""

    @property
    def energy(self) -> FittedEnergy | None:
        """None where energies do not matter."""


@dataclass(frozen=True, eq=False)
class Proposed:
    """The front that predictors expect.

    Attributes:
        candidates, objectives: [n] and [n, m], minimised.
        priced: candidates that were priced for it.
        certificate: its share of the exact front's hypervolume; None where that is not known.
    """

    candidates: Candidates
    objectives: Floats
    priced: int
    certificate: float | None


@dataclass(frozen=True, eq=False)
class Inner:
    """An inner search for one device.

    Attributes:
        pairs: the bits to choose from.
        reference: of the hypervolume, in the goal's objectives.
    """

    space: Space
    device: str
    pairs: tuple[Pair, ...]
    goal: Goal
    accuracy: FittedPredictor
    latency: Expected
    settings: SearchSettings
    reference: Floats

    def run(self, first: Candidates, seed: int, on_generation: OnGeneration) -> Proposed:
        """Returns the expected front.

        Raises:
            InputError: the method is `exact` and a predictor is not additive.
        """
        genome = Genome(self.space, self.pairs)
        exact = self._exact(genome)
        if self.settings.method == "exact":
            assert exact is not None
            objectives = np.stack([-exact.score, exact.cost], axis=1)
            empty = np.zeros((0, len(genome.choice_counts)), dtype=np.int64)
            on_generation(0, Found(empty, objectives, len(objectives), empty))
            return Proposed(exact.candidates, objectives, len(objectives), 1.0)
        problem = Problem(
            genome, self.price, genome.encode(first), self.settings.inner_evaluations, seed, on_generation
        )
        found = self.settings.algorithm().search(problem)
        certificate = None
        if exact is not None and len(exact.cost):
            best = hypervolume(np.stack([-exact.score, exact.cost], axis=1), self.reference)
            certificate = hypervolume(found.objectives, self.reference) / best if best > 0 else None
        candidates = genome.decode(found.vectors)
        rows = self._likely(candidates)
        return Proposed(candidates[rows], found.objectives[rows], found.priced, certificate)

    def _likely(self, candidates: Candidates) -> Ints:
        """Returns the rows that keep the latency limit with the chance asked for; all where none does."""
        limit, every = self.goal.latency_ms[self.device], np.arange(len(candidates))
        if not isinstance(self.latency, FittedLatency) or not np.isfinite(limit) or not len(every):
            return every
        kept = np.flatnonzero(self.latency.bounds(candidates) <= limit)
        return kept if len(kept) else every

    def price(self, vectors: Ints) -> tuple[Floats, Floats]:
        """Returns predicted objectives, and the shares by which limits are broken under the margins."""
        figures = self.figures(Genome(self.space, self.pairs).decode(vectors))
        return self.goal.points(figures), self.excess(figures)

    def figures(self, candidates: Candidates) -> Figures:
        """Returns the predicted figures [n] that the goal needs; p95 is latency under the margin."""
        fitted = self.latency
        latency = fitted.predictor.mean(candidates)
        found = {
            "accuracy_top1": self.accuracy.mean(candidates),
            "latency_ms": latency,
            "p95_ms": latency * fitted.margin,
        }
        if fitted.energy is not None:
            found["energy_mj"] = fitted.energy.predictor.mean(candidates)
        if any(name in _COSTS for name in (*self.goal.objectives, *self.goal.limits)):
            found |= cost_figures(candidates)
        return found

    def excess(self, figures: Figures) -> Floats:
        """Returns the shares by which limits are broken, energies under their margin."""
        fitted = self.latency
        if fitted.energy is not None:
            figures = {**figures, "energy_mj": figures["energy_mj"] * fitted.energy.margin}
        return self.goal.excess(figures, self.device)

    def _exact(self, genome: Genome) -> ExactCandidates | None:
        """The exact front on these predictors; None where they are not additive."""
        if not self.goal.plain:
            return None
        fitted = self.latency
        try:
            cost, score = latency_terms(fitted), additive_terms(self.accuracy)
        except InputError:
            if self.settings.method == "exact":
                raise
            return None
        # Borders between bitwidths are not in the sums: good for proposals, no ground for a certificate.
        if not cost.exact and self.settings.method != "exact":
            return None
        return exact_candidates(genome, cost, score, self.goal.latency_ms[self.device] / fitted.margin)


def latency_terms(fitted: Expected) -> AdditiveTerms:
    """Returns the terms of a latency predictor or a device's table.

    Raises:
        InputError: it is no sum over layers.
    """
    if isinstance(fitted.predictor, TableFigure):
        return fitted.predictor.terms
    assert isinstance(fitted.predictor, FittedPredictor)
    return additive_terms(fitted.predictor)


def for_the_fleet(
    inners: Mapping[str, Inner], groups: Sequence[Sequence[str]], first: Candidates, seed: int
) -> Proposed | None:
    """Returns the expected trade-off of models that keep every device's limits.

    Objectives are accuracy, and the largest share that a device's latency takes of its target (or
    of its reference latency, without one). Devices of one group stand in for each other. None where
    no pair of bits runs on all devices.
    """
    every = list(inners.values())
    pairs = tuple(p for p in every[0].pairs if all(p in inner.pairs for inner in every))
    if not pairs:
        return None
    space, settings = every[0].space, every[0].settings
    genome = Genome(space, pairs)

    def price(vectors: Ints) -> tuple[Floats, Floats]:
        candidates = genome.decode(vectors)
        shares, broken = [], []
        for group in groups:
            each = [(inners[name], inners[name].figures(candidates)) for name in group]
            scales = [_scale_ms(inner) for inner, _ in each]
            parts = [figures["p95_ms"] / scale for (_, figures), scale in zip(each, scales, strict=True)]
            shares.append(np.min(parts, axis=0))
            over = [np.maximum(inner.excess(figures), 0).max(axis=1) for inner, figures in each]
            broken.append(np.min(over, axis=0))
        accuracy = each[0][1]["accuracy_top1"]
        return np.stack([-accuracy, np.max(shares, axis=0)], axis=1), np.stack(broken, axis=1)

    problem = Problem(genome, price, genome.encode(first), settings.inner_evaluations, seed, lambda *_: None)
    found = settings.algorithm().search(problem)
    return Proposed(genome.decode(found.vectors), found.objectives, found.priced, None)


def _scale_ms(inner: Inner) -> float:
    target = inner.goal.latency_ms[inner.device]
    if np.isfinite(target):
        return target
    at = inner.goal.objectives.index("latency_ms") if "latency_ms" in inner.goal.objectives else None
    return 1.0 if at is None else float(inner.reference[at])
