"""What is known for sure: accuracies evaluated and latencies measured, each once, journalled."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import InputError
from hwnas.predictors import AdditiveTerms, FittedPredictor, Prediction, Score, fit_and_score, score
from hwnas.predictors.energy import fit_energy
from hwnas.predictors.recipes import ModelName
from hwnas.profilers.device import Device
from hwnas.profilers.measurement import Measurement
from hwnas.profilers.simulated import SimulatedDevice
from hwnas.profilers.tables import BlockTable
from hwnas.progress import keep_each
from hwnas.search.additive import table_terms
from hwnas.search.genome import Genome
from hwnas.search.run_folder import Journal
from hwnas.spaces import Candidates, Pair, Space

if TYPE_CHECKING:
    from hwnas.supernet import Evaluation

Floats = NDArray[np.float64]


# Candidates and a split -> their evaluations, in order, each as soon as it is known.
Evaluate = Callable[[Candidates, str], Iterable["Evaluation"]]
# A device and candidates -> one measurement each.
Measure = Callable[[Device, Candidates], Sequence[Measurement]]


class Accuracies:
    """The accuracies known so far, in percent, on the split that guides the search."""

    def __init__(self, evaluate: Evaluate, journal: Journal, split: str = "validate") -> None:
        self._evaluate = evaluate
        self._journal = journal
        self.split = split
        self.known: dict[str, dict[str, float]] = {}
        self.candidates: list[Candidates] = []

    def learn(self, candidates: Candidates, on_step: Callable[[int, int], None]) -> int:
        """Evaluates what is not known yet; returns how many were new to this run."""
        fresh = candidates[[row for row, key in enumerate(candidates.ids) if key not in self.known]]
        keys = [("accuracy", self.split, one) for one in fresh.ids]
        entries = [self._journal.get(*key) for key in keys]
        missing = [row for row, entry in enumerate(entries) if entry is None]
        rows = enumerate(missing, 1)

        def keep(result: "Evaluation") -> None:
            done, row = next(rows)
            entries[row] = {
                "accuracy_top1": result.accuracy_top1,
                "standard_error": result.standard_error,
                "n": result.n,
            }
            self._journal.add(keys[row], entries[row] or {})
            on_step(done, len(missing))

        on_step(0, len(missing))
        keep_each(self._evaluate(fresh[missing], self.split) if missing else (), keep)
        for one, entry in zip(fresh.ids, entries, strict=True):
            assert entry is not None
            self.known[one] = entry
        if len(fresh):
            self.candidates.append(fresh)
        return len(fresh)

    def values(self, candidates: Candidates, name: str = "accuracy_top1") -> Floats:
        """Returns one figure for each candidate; NaN where it is not known."""
        return np.array([self.known.get(key, {}).get(name, np.nan) for key in candidates.ids])

    def fit(self, seed: int, additive: bool = False) -> tuple[FittedPredictor, Score, Floats, Floats]:
        """Returns a predictor, its held-out score, and the held-out (truth, prediction) pairs.

        Args:
            seed: for all choices made at random.
            additive: make the predictor a sum over choices behind a link.
        """
        every = Candidates.concatenate(self.candidates)
        truth = self.values(every)
        noise = np.maximum(self.values(every, "standard_error"), 0.05)
        model: ModelName = "linear" if additive else "auto"
        fitted = fit_and_score(
            every.space, every, truth, metric="accuracy_top1", model=model, noise=noise, seed=seed
        )
        return fitted.predictor, fitted.score, truth, fitted.held_out.mean


class Latencies:
    """The latencies measured so far on one device."""

    def __init__(self, device: Device, pairs: tuple[Pair, ...], measure: Measure, journal: Journal) -> None:
        self.device = device
        self.pairs = pairs
        self._measure = measure
        self._journal = journal
        self.known: dict[str, Measurement] = {}
        self.candidates: list[Candidates] = []
        # Measured p95 over the latency predicted before, of every proposal.
        self.surprises: list[float] = []

    @property
    def every(self) -> Candidates:
        """All that was measured; something was."""
        return Candidates.concatenate(self.candidates)

    def runnable(self, candidates: Candidates) -> Candidates:
        """Returns the distinct candidates at the nearest bits that the device runs."""
        genome = Genome(candidates.space, self.pairs)
        same = genome.decode(genome.encode(candidates))
        return same[same.first_of_each()]

    def runs(self, candidates: Candidates) -> NDArray[np.bool_]:
        """Returns which candidates [n] the device runs at exactly their bits."""
        return candidates.within(self.pairs)

    def learn(self, candidates: Candidates) -> int:
        """Measures what is not known yet; returns how many were new to this run."""
        rows = [row for row, key in enumerate(candidates.ids) if key not in self.known]
        if not rows:
            return 0
        fresh = candidates[rows]
        keys = [("latency", self.device.name, one) for one in fresh.ids]
        entries = [self._journal.get(*key) for key in keys]
        missing = [row for row, entry in enumerate(entries) if entry is None]
        if missing:
            for row, taken in zip(missing, self._measure(self.device, fresh[missing]), strict=True):
                entries[row] = taken.to_json()
                self._journal.add(keys[row], entries[row] or {})
        for one, entry in zip(fresh.ids, entries, strict=True):
            assert entry is not None
            self.known[one] = Measurement.of_json(entry)
        self.candidates.append(fresh)
        return len(rows)

    def values(self, candidates: Candidates, name: str = "latency_ms") -> Floats:
        """Returns one figure for each candidate; NaN where it was not measured."""
        taken = [self.known.get(key) for key in candidates.ids]
        found = [None if one is None else getattr(one, name) for one in taken]
        return np.array([np.nan if one is None else one for one in found], dtype=np.float64)

    def fit(
        self, seed: int, miss_rate: float, *, energy: bool = False, additive: bool = False
    ) -> "FittedLatency":
        """Returns predictors with held-out scores, and the margins that their errors call for.

        Args:
            seed: for all choices made at random.
            miss_rate: chance that a proposal right at the limit turns out above it.
            energy: whether energies are to be predicted too.
            additive: make the latency predictor a sum over layers.

        Raises:
            InputError: energies are asked for and the device gives none.
        """
        every = self.every
        truth = self.values(every)
        if isinstance(self.device, SimulatedDevice):
            return self._tabled(every, truth, energy)
        model: ModelName = "linear" if additive else "auto"
        fitted = fit_and_score(every.space, every, truth, metric="latency_ms", model=model, seed=seed)
        held_out, p95_ms = fitted.held_out.mean, self.values(every, "p95_ms")
        ratios = p95_ms / held_out
        spent = self._fit_energy(every, seed, miss_rate) if energy else None
        margin = widened(ratios, self.surprises, miss_rate)
        over = upper_quantile(p95_ms / fitted.held_out.high, miss_rate)
        over *= margin / upper_quantile(ratios, miss_rate)
        return FittedLatency(fitted.predictor, fitted.score, truth, held_out, margin, spent, over)

    def _tabled(self, every: Candidates, truth: Floats, energy: bool) -> "FittedLatency":
        assert isinstance(self.device, SimulatedDevice)
        table = self.device.table(every.space)
        latency = TableFigure.of(table, every.space, "latency_ms")
        exact = latency.mean(every)
        spent = None
        if energy:
            if table.energy_mj(every) is None:
                raise InputError(
                    f"device '{self.device.name}' has no energies in its table; add the column energy_mj, "
                    "or drop --target-energy and the objective energy"
                )
            spent = FittedEnergy(TableFigure.of(table, every.space, "energy_mj"), 1.0)
        scored = score(Prediction(exact, exact, exact), truth)
        return FittedLatency(latency, scored, truth, exact, 1.0, spent)

    def _fit_energy(self, every: Candidates, seed: int, miss_rate: float) -> "FittedEnergy":
        taken = [self.known[key] for key in every.ids]
        if all(one.energy_mj is None for one in taken):
            raise InputError(
                f"device '{self.device.name}' measures no energy; choose one that does (`hwnas devices`), "
                "or drop --target-energy and the objective energy"
            )
        fitted = fit_energy(every, taken, seed=seed)
        known = np.array([one.energy_mj for one in taken if one.energy_mj is not None])
        return FittedEnergy(fitted.predictor, widened(known / fitted.held_out.mean, [], miss_rate))


def widened(ratios: Floats, surprises: Sequence[float], miss_rate: float) -> float:
    """Returns the margin under which a new candidate breaks its limit with the chance `miss_rate`.

    The margin is the quantile of measured over predicted on held-out networks. Proposals are picked
    where predictions are low, so they miss more often than those; where they did, the margin is
    widened to their own quantile.

    Args:
        ratios: measured over held-out prediction, [n].
        surprises: measured over predicted before, of proposals.

    Source: split-conformal prediction, one-sided (Vovk et al., 2005; Papadopoulos et al., 2002).
    """
    margin = upper_quantile(ratios, miss_rate)
    missed = np.mean(np.asarray(surprises) > margin) if len(surprises) else 0.0
    return max(margin, upper_quantile(np.asarray(surprises), miss_rate)) if missed > miss_rate else margin


def upper_quantile(values: Floats, tail: float) -> float:
    """Returns the least of values [n] that a new one exceeds with a chance of at most `tail`.

    That is the value of rank ceil((n + 1)(1 - tail)); the largest where n is too small for that.
    """
    rank = math.ceil((len(values) + 1) * (1 - tail) - 1e-9)
    return float(np.sort(values)[min(rank, len(values)) - 1])


@dataclass(frozen=True, eq=False)
class TableFigure:
    """A figure of a simulated device, which a table gives exactly.

    Attributes:
        terms: the table as an array over the vocabulary, so that a sum is a look-up a slot.
    """

    table: BlockTable
    terms: AdditiveTerms

    @staticmethod
    def of(table: BlockTable, space: Space, figure: str) -> "TableFigure":
        """Returns `latency_ms` or `energy_mj` of a table for a space."""
        return TableFigure(table, table_terms(table, space, figure))

    def mean(self, candidates: Candidates) -> Floats:
        """Returns the figure [n].

        Raises:
            InputError: the table lacks blocks that candidates need.
        """
        sums = self.terms.sums(candidates)
        if np.isnan(sums).any():
            # The table says which blocks it lacks; where it lacks none, they have no such figure.
            self.table.latency_ms(candidates)
            raise InputError(f"the table of '{self.table.device}' lacks {self.terms.metric} of some blocks")
        return sums


@dataclass(frozen=True, eq=False)
class FittedEnergy:
    """An energy predictor and the margin for its limit."""

    predictor: FittedPredictor | TableFigure
    margin: float


@dataclass(frozen=True, eq=False)
class FittedLatency:
    """A latency predictor, how it did on held-out networks, and the margin for its target.

    Attributes:
        margin: the quantile of measured p95 over predicted latency: a candidate whose prediction
            times the margin meets the target keeps it with the probability that was asked for.
        energy: None where energies do not matter.
        over: the same quantile of measured p95 over the predictor's 95 % bound.
    """

    predictor: FittedPredictor | TableFigure
    score: Score
    truth: Floats
    held_out: Floats
    margin: float
    energy: FittedEnergy | None = None
    over: float = 1.0

    def bounds(self, candidates: Candidates) -> Floats:
        """Returns what p95 stays below [n] with the probability asked for: a chance constraint.

        Unlike the margin, it is wide where the predictor is unsure of that very candidate, and
        narrow where it is sure; it takes too long for every candidate that a search prices.
        """
        if isinstance(self.predictor, FittedPredictor):
            return self.predictor.upper(candidates, 0.95) * self.over
        return self.predictor.mean(candidates) * self.margin
