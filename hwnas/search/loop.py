"""The main road's search: measure, fit, propose from the predictors, verify, refit, repeat."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hwnas.profilers.device import Device
from hwnas.progress import Progress
from hwnas.search.ending import ended_search
from hwnas.search.feasible import refuse_hopeless, say_if_idle, usable_pairs
from hwnas.search.genome import joined
from hwnas.search.goal import Goal, reward
from hwnas.search.inner import Floats, Found
from hwnas.search.pareto import gainful_subset, hypervolume, non_dominated, spread_subset
from hwnas.search.pool import Pool, competing, cost_figures
from hwnas.search.proposals import Inner, for_the_fleet
from hwnas.search.result import Convergence, Fits, SearchResult, Status, Tally
from hwnas.search.run_folder import Journal
from hwnas.search.sample import first_sample, pairs_of
from hwnas.search.settings import SearchSettings
from hwnas.search.truth import Accuracies, Evaluate, Latencies, Measure
from hwnas.spaces import Candidates, Space

# Hears of the state of a search after every generation.
Watch = Callable[[Status], None]


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
    watch: Watch | None = None

    def run(self) -> SearchResult:
        """Returns the front.

        Raises:
            InfeasibleError: no network keeps the limits on any device.
            InputError: a device runs none of the wanted bitwidths, or measures no energy where
                energies matter.
        """
        return _Run(self).result()


class _Run:
    def __init__(self, asked: Search) -> None:
        self.asked, self.settings, self.say = asked, asked.settings, asked.progress.say
        self.goal = Goal.of(asked.settings, [device.name for device in asked.devices])
        self.accuracies = Accuracies(asked.evaluate, asked.journal)
        self.latencies = [
            Latencies(device, usable_pairs(device, asked.settings.bits), asked.measure, asked.journal)
            for device in asked.devices
        ]
        self.groups = competing(asked.devices)
        self.references: dict[str, Floats] = {}
        self.tally = Tally()
        self.started = time.monotonic()

    def result(self) -> SearchResult:
        settings = self.settings
        pairs = pairs_of([one.pairs for one in self.latencies])
        wanted = max(settings.profile_samples, settings.initial_evaluations)
        sample, baselines = first_sample(
            self.asked.space, pairs, wanted, np.random.default_rng(settings.seed)
        )
        for one in self.latencies:
            one.learn(one.runnable(sample))
        within = refuse_hopeless(self.latencies, self.goal, settings, self.asked.space)
        say_if_idle(self.latencies, self.goal, self.say)
        self._set_references()
        self._learn(Candidates.concatenate([sample[: settings.initial_evaluations], within]))
        volumes, number, ended = [self._record_measured(0)], 0, "all rounds done"
        fits = self._fit()
        while number < settings.rounds:
            if settings.budget_s and time.monotonic() - self.started > settings.budget_s:
                ended = "budget spent"
                break
            left = self._left()
            if left is not None and left <= 0:
                ended = "all evaluations spent"
                break
            number += 1
            self._verify(number, fits)
            fits = self._fit()
            volumes.append(self._record_measured(number))
            self.say(f"round {number}: {len(self.accuracies.known)} evaluated, hypervolume {volumes[-1]:.4g}")
            if len(volumes) > 2 and volumes[-1] <= volumes[-3] * (1 + settings.epsilon):
                ended = f"two rounds raised the hypervolume by less than {settings.epsilon:.1%}"
                break
        return ended_search(
            space=self.asked.space,
            settings=settings,
            goal=self.goal,
            groups=self.groups,
            accuracies=self.accuracies,
            latencies=self.latencies,
            references=self.references,
            tally=self.tally,
            fits=fits,
            baselines=baselines,
            hypervolume=volumes[-1],
            rounds=number,
            ended=ended,
        )

    def _learn(self, candidates: Candidates) -> None:
        """Evaluates candidates, and measures them wherever they run as they are."""
        candidates = candidates[candidates.first_of_each()]
        for one in self.latencies:
            one.learn(candidates[np.flatnonzero(one.runs(candidates))])
        self.accuracies.learn(
            candidates, lambda done, total: self.asked.progress.step("evaluate accuracy", done, total)
        )

    def _fit(self) -> Fits:
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

    def _verify(self, number: int, fits: Fits) -> None:
        """Measures and evaluates what the predictors propose for each device, and for all together."""
        fleet = len(self.groups) > 1
        share = -(-self._round_size() // (len(self.latencies) + fleet))
        inners = {one.device.name: self._inner(one, fits) for one in self.latencies}
        proposals = []
        for index, one in enumerate(self.latencies):
            name = one.device.name
            seed = int(np.random.default_rng([self.settings.seed, number, index]).integers(2**31))
            found = inners[name].run(self._known_front(one), seed, self._listener(number, one))
            self.tally.priced += found.priced
            if found.certificate is not None:
                self.tally.certificate[name] = found.certificate
            known = self._expected_of_known(one, fits)
            picked = self._picked(found.candidates, found.objectives, share, [one], known)
            proposals.append(picked)
            self._measure_proposals(one, picked, fits)
        if fleet:
            proposals.append(self._fleet_proposals(number, inners, share))
        every = joined(proposals)
        self._learn(every[: self._left()])

    def _left(self) -> int | None:
        """How many candidates may still be evaluated; None without a limit."""
        most = self.settings.evaluations
        return None if most is None else max(0, most - len(self.accuracies.known))

    def _round_size(self) -> int:
        settings = self.settings
        return max(settings.evaluations_per_round, int(settings.growth * len(self.accuracies.known)))

    def _inner(self, one: Latencies, fits: Fits) -> Inner:
        name = one.device.name
        return Inner(
            space=self.asked.space,
            device=name,
            pairs=one.pairs,
            goal=self.goal,
            accuracy=fits.accuracy,
            latency=fits.latency[name],
            settings=self.settings,
            reference=self.references[name],
        )

    def _picked(
        self,
        candidates: Candidates,
        objectives: Floats,
        n: int,
        needed: Sequence[Latencies],
        expected: Floats | None = None,
    ) -> Candidates:
        """Returns n of the expected front that are not known yet.

        Those of the best rewards where rewards are asked for; else those that add most to the
        hypervolume of what is `expected` of the known ones, on the first of the devices `needed`;
        else far apart.
        """
        known = self.accuracies.known.keys()
        fresh = np.array(
            [key not in known or any(key not in one.known for one in needed) for key in candidates.ids],
            dtype=bool,
        )
        candidates, objectives = candidates[fresh], objectives[fresh]
        if not len(candidates):
            return candidates
        soft, target = self.settings.soft, self.settings.target_latency_ms
        if soft and target is not None:
            at = self.goal.objectives.index("latency_ms")
            accuracy = -objectives[:, self.goal.objectives.index("accuracy_top1")]
            worth = reward(accuracy, objectives[:, at], target, soft)
            rows = np.argsort(-worth, kind="stable")[: 2 * n]
            candidates, objectives = candidates[rows], objectives[rows]
        elif expected is not None and objectives.shape[1] == 2:
            reference = self.references[needed[0].device.name]
            return candidates[gainful_subset(objectives, expected, reference, n)]
        return candidates[spread_subset(objectives, n)]

    def _expected_of_known(self, one: Latencies, fits: Fits) -> Floats:
        """Objectives [k, m] of the known candidates within a device's limits, accuracies as predicted.

        An accuracy on a few hundred images is uncertain by a point, and the best of many are those
        that were lucky: beside them, no prediction would seem to gain anything.
        """
        pool = Pool.of(self.accuracies, [one])
        objectives, _ = pool.points([one.device.name], self.goal)
        objectives[:, self.goal.objectives.index("accuracy_top1")] = -fits.accuracy.mean(pool.candidates)
        return objectives[~np.isnan(objectives).any(axis=1)]

    def _measure_proposals(self, one: Latencies, candidates: Candidates, fits: Fits) -> None:
        """Measures proposals of one device, and keeps how far predictions were off."""
        if not len(candidates):
            return
        name = one.device.name
        predicted = fits.latency[name].predictor.mean(candidates)
        self.tally.predicted.setdefault(name, {}).update(zip(candidates.ids, predicted.tolist(), strict=True))
        one.learn(candidates)
        pairs = zip(one.values(candidates).tolist(), predicted.tolist(), strict=True)
        self.tally.verified.setdefault(name, []).extend(pairs)
        p95 = one.values(candidates, "p95_ms")
        one.surprises.extend((p95 / predicted).tolist())
        self.tally.missed += int((p95 > self.goal.latency_ms[name]).sum())

    def _fleet_proposals(self, number: int, inners: dict[str, Inner], n: int) -> Candidates:
        seed = int(np.random.default_rng([self.settings.seed, number, len(inners)]).integers(2**31))
        none = self._known_front(self.latencies[0])[:0]
        found = for_the_fleet(inners, self.groups, none, seed)
        if found is None:
            return none
        self.tally.priced += found.priced
        # What counts is accuracy within all limits: the most accurate of the trade-off.
        best = np.argsort(found.objectives[:, 0], kind="stable")[: 2 * n]
        return self._picked(found.candidates[best], found.objectives[best], n, [])

    def _listener(self, number: int, one: Latencies) -> Callable[[int, Found], None]:
        name, wanted = one.device.name, self.settings.inner_evaluations

        def heard(generation: int, found: Found) -> None:
            step = f"search for {name}, round {number}"
            self.asked.progress.step(step, min(found.priced, wanted), wanted)
            # Beyond two objectives the volume costs more than the generation: at the end alone.
            if len(self.goal.objectives) == 2 or found.priced >= wanted:
                expected = hypervolume(found.objectives, self.references[name])
                self._record(number, "proposed", name, generation, self.tally.priced + found.priced, expected)

        return heard

    def _known_front(self, one: Latencies) -> Candidates:
        """The non-dominated known candidates of one device within the limits; may be none."""
        pool = Pool.of(self.accuracies, [one])
        objectives, _ = pool.points([one.device.name], self.goal)
        return pool.candidates[non_dominated(objectives)]

    def _set_references(self) -> None:
        """The reference points: chance accuracy, and the largest figure or the limit on it."""
        chance = 100.0 / self.asked.space.num_classes
        for group in self.groups:
            members = [one for one in self.latencies if one.device.name in group]
            point = []
            for objective in self.goal.objectives:
                if objective == "accuracy_top1":
                    point.append(-chance)
                    continue
                largest = max(float(np.nanmax(_figures(one)[objective])) for one in members)
                limit = self.goal.limits.get(objective, np.inf)
                if objective == "latency_ms":
                    limit = max(self.goal.latency_ms[name] for name in group)
                point.append(min(largest, limit))
            for name in group:
                self.references[name] = np.array(point)

    def _record_measured(self, number: int) -> float:
        pool = Pool.of(self.accuracies, self.latencies)
        total = 0.0
        for group in self.groups:
            volume = pool.hypervolume(group, self.goal, self.references[group[0]])
            self._record(number, "measured", "+".join(group), 0, len(self.accuracies.known), volume)
            total += volume
        return total

    def _record(
        self, number: int, stage: str, device: str, generation: int, evaluations: int, volume: float
    ) -> None:
        reference = self.references[device.split("+")[0]]
        names = zip(self.goal.objectives, reference.tolist(), strict=True)
        self.tally.convergence.append(
            Convergence(
                round=number,
                stage=stage,
                device=device,
                generation=generation,
                evaluations=evaluations,
                hypervolume=volume,
                reference={name: -value if name == "accuracy_top1" else value for name, value in names},
            )
        )
        if self.asked.watch:
            self.asked.watch(self._status(number, stage, device, generation, volume))

    def _status(self, number: int, stage: str, device: str, generation: int, volume: float) -> Status:
        pool = Pool.of(self.accuracies, self.latencies)
        best = {}
        for group in self.groups:
            front = pool.front(group, self.goal)
            if front:
                row, name = max(front, key=lambda pair: pool.accuracy_top1[pair[0]])
                best[name] = (
                    float(pool.accuracy_top1[row]),
                    float(pool.on_device[name]["latency_ms"][row]),
                )
        spent = time.monotonic() - self.started
        budget = self.settings.budget_s
        pace = spent / (number + 1)
        left = max(0.0, (self.settings.rounds - number) * pace)
        return Status(
            round=number,
            rounds=self.settings.rounds,
            stage=stage,
            device=device,
            generation=generation,
            priced=self.tally.priced,
            evaluated=len(self.accuracies.known),
            hypervolume=volume,
            best=best,
            seconds_left=left if budget is None else min(left, max(0.0, budget - spent)),
        )


def _figures(one: Latencies) -> dict[str, Floats]:
    every = one.every
    return {
        **cost_figures(every),
        "latency_ms": one.values(every),
        "energy_mj": one.values(every, "energy_mj"),
    }
