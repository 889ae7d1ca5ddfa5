"""The main road's search: measure, fit, propose from the predictors, verify, refit, repeat."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hwnas.errors import InfeasibleError, InputError
from hwnas.profilers.device import Device
from hwnas.progress import Progress
from hwnas.search.front import Front, Member
from hwnas.search.genome import Genome
from hwnas.search.inner import Floats, Found, Ints, random_search
from hwnas.search.nsga2 import nsga2
from hwnas.search.pareto import hypervolume, non_dominated, spread_subset
from hwnas.search.pool import Pool, competing, member
from hwnas.search.result import Convergence, Fits, SearchResult
from hwnas.search.run_folder import Journal
from hwnas.search.sample import first_sample, floats_first
from hwnas.search.settings import SearchSettings
from hwnas.search.truth import Accuracies, Evaluate, Latencies, Measure
from hwnas.spaces import Candidates, Space
from hwnas.units import format_time_ms


@dataclass(frozen=True, kw_only=True)
class Search:
    """A search of one space on devices that share every accuracy.

    Each device has its own latencies, predictor and proposals.

    Source: the loop of NSGANetV2 (Lu et al., 2020) and LINAS (Cummings et al., 2022): an inner
    search on predictors, few real evaluations of its front, refitting.
    """

    space: Space
    devices: Sequence[Device]
    evaluate: Evaluate
    measure: Measure
    settings: SearchSettings
    journal: Journal
    progress: Progress

    def run(self) -> SearchResult:
        """Returns the front.

        Raises:
            InfeasibleError: no network keeps the target on any device.
            InputError: a device runs none of the wanted bitwidths.
        """
        return _Run(self).result()


@dataclass
class _Tally:
    convergence: list[Convergence] = field(default_factory=list)
    verified: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    predicted: dict[str, dict[str, float]] = field(default_factory=dict)
    priced: int = 0
    missed: int = 0


class _Run:
    def __init__(self, asked: Search) -> None:
        self.asked, self.settings, self.say = asked, asked.settings, asked.progress.say
        self.target_ms = asked.settings.target_latency_ms
        self.accuracies = Accuracies(asked.evaluate, asked.journal)
        self.latencies = [
            Latencies(device, _bits(device, asked.settings.bits), asked.measure, asked.journal)
            for device in asked.devices
        ]
        self.groups = competing(asked.devices)
        self.references: dict[str, Floats] = {}
        self.tally = _Tally()

    def result(self) -> SearchResult:
        started = time.monotonic()
        settings = self.settings
        bits = floats_first([b for one in self.latencies for b in one.bits])
        wanted = max(settings.profile_samples, settings.initial_evaluations)
        sample, baselines = first_sample(self.asked.space, bits, wanted, np.random.default_rng(settings.seed))
        for one in self.latencies:
            one.learn(one.runnable(sample))
        self._refuse_hopeless()
        self._say_if_idle()
        self._set_references()
        self._learn(sample[: settings.initial_evaluations])
        volumes, number, ended = [self._record_measured(0)], 0, "all rounds done"
        fits = self._fit()
        while number < settings.rounds:
            if settings.budget_s and time.monotonic() - started > settings.budget_s:
                ended = "budget spent"
                break
            number += 1
            self._verify(number, fits)
            fits = self._fit()
            volumes.append(self._record_measured(number))
            self.say(f"round {number}: {len(self.accuracies.known)} evaluated, hypervolume {volumes[-1]:.4g}")
            if len(volumes) > 2 and volumes[-1] <= volumes[-3] * (1 + settings.epsilon):
                ended = f"two rounds raised the hypervolume by less than {settings.epsilon:.1%}"
                break
        return self._result(fits, baselines, volumes[-1], number, ended)

    def _learn(self, candidates: Candidates) -> None:
        """Evaluates candidates, and measures them wherever they run as they are."""
        for one in self.latencies:
            one.learn(candidates[np.flatnonzero(one.runs(candidates))])
        self.accuracies.learn(
            candidates, lambda done, total: self.asked.progress.step("evaluate accuracy", done, total)
        )

    def _fit(self) -> Fits:
        predictor, score, truth, held_out = self.accuracies.fit(self.settings.seed)
        latency = {
            one.device.name: one.fit(self.settings.seed, self.settings.miss_rate) for one in self.latencies
        }
        return Fits(predictor, score, (truth, held_out), latency)

    def _verify(self, number: int, fits: Fits) -> None:
        """Measures and evaluates what the predictors propose for each device."""
        share = -(-self.settings.evaluations_per_round // len(self.latencies))
        proposals = []
        for index, one in enumerate(self.latencies):
            name = one.device.name
            expected = self._inner_search(number, index, one, fits)
            known = self.accuracies.known.keys() & one.known.keys()
            fresh = np.array([key not in known for key in expected[0].ids], dtype=bool)
            candidates, objectives = expected[0][fresh], expected[1][fresh]
            candidates = candidates[spread_subset(objectives, share)] if len(candidates) else candidates
            proposals.append(candidates)
            if not len(candidates):
                continue
            predicted = fits.latency[name].predictor.mean(candidates)
            self.tally.predicted.setdefault(name, {}).update(
                zip(candidates.ids, predicted.tolist(), strict=True)
            )
            one.learn(candidates)
            pairs = zip(one.values(candidates).tolist(), predicted.tolist(), strict=True)
            self.tally.verified.setdefault(name, []).extend(pairs)
            self.tally.missed += int((one.values(candidates, "p95_ms") > self.target_ms).sum())
        every = Candidates.concatenate(proposals)
        self._learn(every[every.first_of_each()])

    def _inner_search(self, number: int, index: int, one: Latencies, fits: Fits) -> tuple[Candidates, Floats]:
        """Returns the expected front of a device and its objectives, from the predictors alone."""
        name, settings = one.device.name, self.settings.nsga2
        genome, fitted = Genome(self.asked.space, one.bits), fits.latency[one.device.name]

        def price(vectors: Ints) -> tuple[Floats, Floats]:
            candidates = genome.decode(vectors)
            latency = fitted.predictor.mean(candidates)
            objectives = np.stack([-fits.accuracy.mean(candidates), latency], axis=1)
            return objectives, (latency * fitted.margin - self.target_ms)[:, None]

        def on_generation(generation: int, found: Found) -> None:
            step = f"search for {name}, round {number}"
            self.asked.progress.step(step, generation + 1, settings.generations + 1)
            expected = hypervolume(found.objectives[found.front], self.references[name])
            self._record(
                number, "proposed", name, generation, self.tally.priced + len(found.vectors), expected
            )

        seed = int(np.random.default_rng([self.settings.seed, number, index]).integers(2**31))
        first = genome.encode(self._known_front(one))[: settings.population // 2]
        if self.settings.method == "random":
            budget = settings.population * (settings.generations + 1)
            found = random_search(genome, price, first, budget, seed, on_generation)
        else:
            found = nsga2(genome, price, first, settings, seed, on_generation)
        self.tally.priced += len(found.vectors)
        return genome.decode(found.vectors[found.front]), found.objectives[found.front]

    def _known_front(self, one: Latencies) -> Candidates:
        """The non-dominated known candidates of one device within the target; may be none."""
        pool = Pool.of(self.accuracies, [one])
        objectives, _ = pool.points([one.device.name], self.target_ms)
        return pool.candidates[non_dominated(objectives)]

    def _set_references(self) -> None:
        """The reference points: chance accuracy, and the slowest network or the target."""
        chance = 100.0 / self.asked.space.num_classes
        for group in self.groups:
            slowest = max(
                float(one.values(Candidates.concatenate(one.candidates)).max())
                for one in self.latencies
                if one.device.name in group
            )
            for name in group:
                self.references[name] = np.array([-chance, min(slowest, self.target_ms)])

    def _record_measured(self, number: int) -> float:
        pool = Pool.of(self.accuracies, self.latencies)
        total = 0.0
        for group in self.groups:
            volume = pool.hypervolume(group, self.target_ms, self.references[group[0]])
            self._record(number, "measured", "+".join(group), 0, len(self.accuracies.known), volume)
            total += volume
        return total

    def _record(
        self, number: int, stage: str, device: str, generation: int, evaluations: int, volume: float
    ) -> None:
        reference = self.references[device.split("+")[0]]
        self.tally.convergence.append(
            Convergence(
                round=number,
                stage=stage,
                device=device,
                generation=generation,
                evaluations=evaluations,
                hypervolume=volume,
                reference_accuracy_top1=-float(reference[0]),
                reference_latency_ms=float(reference[1]),
            )
        )

    def _refuse_hopeless(self) -> None:
        """Raises InfeasibleError where even the candidates expected fastest break the target."""
        if any((self._p95s(one) <= self.target_ms).any() for one in self.latencies):
            return
        for one in self.latencies:
            genome = Genome(self.asked.space, one.bits)
            drawn = genome.decode(genome.sample(5000, np.random.default_rng(self.settings.seed)))
            drawn = drawn[drawn.first_of_each()]
            expected = one.fit(self.settings.seed, self.settings.miss_rate).predictor.mean(drawn)
            one.learn(drawn[np.sort(expected.argsort(kind="stable")[:8])])
        fastest, name = min((float(self._p95s(one).min()), one.device.name) for one in self.latencies)
        if fastest > self.target_ms:
            raise InfeasibleError(
                f"--target-latency must be at least {format_time_ms(fastest * 1.01)}, the p95 of the fastest "
                f"network found (on {name}), but got {format_time_ms(self.target_ms)}; raise it, or choose "
                "another space or device"
            )

    def _say_if_idle(self) -> None:
        """Says so where the target excludes nothing, with one that would bind."""
        if any((self._p95s(one) > self.target_ms).any() for one in self.latencies):
            return
        slowest, name = max(
            (float(one.values(Candidates.concatenate(one.candidates)).max()), one.device.name)
            for one in self.latencies
        )
        self.say(
            f"the target of {format_time_ms(self.target_ms)} excludes nothing: the slowest network measured "
            f"takes {format_time_ms(slowest)} (on {name}); one that would bind: "
            f"--target-latency {format_time_ms(slowest / 2)}"
        )

    def _p95s(self, one: Latencies) -> Floats:
        return one.values(Candidates.concatenate(one.candidates), "p95_ms")

    def _result(
        self, fits: Fits, baselines: Mapping[str, Candidates], volume: float, rounds: int, ended: str
    ) -> SearchResult:
        pool = Pool.of(self.accuracies, self.latencies)
        members: dict[str, Member] = {}
        for group in self.groups:
            for row, name in pool.front(group, self.target_ms):
                found = member(row, name, pool, self.accuracies, self.latencies, self.tally.predicted)
                members.setdefault(found.id, found)
        front = Front(
            space=self.asked.space.name,
            devices={one.device.name: _facts(one) for one in self.latencies},
            target_latency_ms=self.target_ms,
            reference_point={
                "accuracy_top1": 100.0 / self.asked.space.num_classes,
                "latency_ms": max(float(point[1]) for point in self.references.values()),
            },
            hypervolume=volume,
            members=tuple(members.values()),
        )
        known = self.accuracies.known
        return SearchResult(
            front=front,
            fits=fits,
            convergence=self.tally.convergence,
            verified=self.tally.verified,
            baselines={
                name: some[[row for row, key in enumerate(some.ids) if key in known]]
                for name, some in baselines.items()
            },
            proposed=sum(len(pairs) for pairs in self.tally.verified.values()),
            missed=self.tally.missed,
            rounds=rounds,
            ended=ended,
            pool=pool,
        )


def _bits(device: Device, wanted: tuple[int, ...]) -> tuple[int, ...]:
    bits = floats_first([b for b in device.bits if not wanted or b in wanted])
    if not bits:
        raise InputError(
            f"device '{device.name}' runs {', '.join(map(str, device.bits))} bits, but --bits asks for "
            f"{', '.join(map(str, wanted))}; drop the device or add its bits"
        )
    return bits


def _facts(one: Latencies) -> dict[str, object]:
    device = one.device
    return {
        "runtime": device.runtime,
        "kind": device.kind,
        "threads": device.threads,
        "batch": device.batch,
        "bits": list(one.bits),
        "fingerprint": dict(device.fingerprint().facts),
    }
