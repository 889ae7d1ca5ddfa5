"""What is known for sure: accuracies evaluated and latencies measured, each once, journalled."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hwnas.predictors import FittedPredictor, Prediction, Score, fit_and_score, score
from hwnas.profilers.device import Device
from hwnas.profilers.measurement import Measurement
from hwnas.profilers.simulated import SimulatedDevice
from hwnas.profilers.tables import BlockTable
from hwnas.search.run_folder import Journal
from hwnas.spaces import Candidates

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
        results = self._evaluate(fresh[missing], self.split) if missing else ()
        for done, (row, result) in enumerate(zip(missing, results, strict=True)):
            on_step(done, len(missing))
            entries[row] = {
                "accuracy_top1": result.accuracy_top1,
                "standard_error": result.standard_error,
                "n": result.n,
            }
            self._journal.add(keys[row], entries[row] or {})
        on_step(len(missing), len(missing))
        for one, entry in zip(fresh.ids, entries, strict=True):
            assert entry is not None
            self.known[one] = entry
        if len(fresh):
            self.candidates.append(fresh)
        return len(fresh)

    def values(self, candidates: Candidates, name: str = "accuracy_top1") -> Floats:
        """Returns one figure for each candidate; NaN where it is not known."""
        return np.array([self.known.get(key, {}).get(name, np.nan) for key in candidates.ids])

    def fit(self, seed: int) -> tuple[FittedPredictor, Score, Floats, Floats]:
        """Returns a predictor, its held-out score, and the held-out (truth, prediction) pairs."""
        every = Candidates.concatenate(self.candidates)
        truth = self.values(every)
        noise = np.maximum(self.values(every, "standard_error"), 0.05)
        fitted = fit_and_score(every.space, every, truth, metric="accuracy_top1", noise=noise, seed=seed)
        return fitted.predictor, fitted.score, truth, fitted.held_out.mean


class Latencies:
    """The latencies measured so far on one device."""

    def __init__(self, device: Device, bits: tuple[int, ...], measure: Measure, journal: Journal) -> None:
        self.device = device
        self.bits = bits
        self._measure = measure
        self._journal = journal
        self.known: dict[str, Measurement] = {}
        self.candidates: list[Candidates] = []

    def runnable(self, candidates: Candidates) -> Candidates:
        """Returns the distinct candidates with bits that the device does not run made its first."""
        fitted = [
            np.where(np.isin(bits, self.bits), bits, self.bits[0])
            for bits in (candidates.weight_bits, candidates.activation_bits)
        ]
        same = Candidates.of_genomes(candidates.space, candidates.genomes, *fitted)
        return same[same.first_of_each()]

    def runs(self, candidates: Candidates) -> NDArray[np.bool_]:
        """Returns which candidates [n] the device runs at exactly their bits."""
        used = (candidates.layer_ids >= 0) & candidates.space.quantizable_slots
        fits = np.isin(candidates.weight_bits, self.bits) & np.isin(candidates.activation_bits, self.bits)
        return np.asarray((fits | ~used).all(axis=1))

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
        return np.array([np.nan if one is None else getattr(one, name) for one in taken], dtype=np.float64)

    def fit(self, seed: int, miss_rate: float) -> "FittedLatency":
        """Returns a predictor with its held-out score, and the margin that its errors call for."""
        every = Candidates.concatenate(self.candidates)
        truth = self.values(every)
        if isinstance(self.device, SimulatedDevice):
            table = TableLatency(self.device.table(every.space))
            exact = table.mean(every)
            return FittedLatency(table, score(Prediction(exact, exact, exact), truth), truth, exact, 1.0)
        fitted = fit_and_score(every.space, every, truth, metric="latency_ms", seed=seed)
        held_out = fitted.held_out.mean
        ratios = self.values(every, "p95_ms") / held_out
        margin = float(np.quantile(ratios, 1 - miss_rate, method="higher"))
        return FittedLatency(fitted.predictor, fitted.score, truth, held_out, margin)


@dataclass(frozen=True)
class TableLatency:
    """The latencies of a simulated device, which a table gives exactly."""

    table: BlockTable

    def mean(self, candidates: Candidates) -> Floats:
        """Returns the latency [n], ms."""
        return self.table.latency_ms(candidates)


@dataclass(frozen=True, eq=False)
class FittedLatency:
    """A latency predictor, how it did on held-out networks, and the margin for its target.

    Attributes:
        margin: the quantile of measured p95 over predicted latency on held-out networks: a
            candidate whose prediction times the margin meets the target keeps it with the
            probability that was asked for (split-conformal, one-sided).
    """

    predictor: FittedPredictor | TableLatency
    score: Score
    truth: Floats
    held_out: Floats
    margin: float
