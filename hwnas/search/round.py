"""One round of a search: the predictors propose, and what they propose is measured and evaluated."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hwnas.search.account import Account
from hwnas.search.genome import joined
from hwnas.search.goal import reward
from hwnas.search.inner import Floats
from hwnas.search.pareto import gainful_subset, spread_subset
from hwnas.search.pool import Pool
from hwnas.search.proposals import Inner, Proposed, for_the_fleet
from hwnas.search.result import Fits
from hwnas.search.state import State
from hwnas.search.truth import Latencies
from hwnas.spaces import Candidates

# Only where so many rounds follow does the first one leave bits alone.
_ROUNDS_WITH_BITS = 2


@dataclass(frozen=True, eq=False)
class Round:
    """A round with the predictors that it begins with.

    Attributes:
        number: counted from one.
    """

    state: State
    account: Account
    number: int
    fits: Fits

    def verify(self) -> None:
        """Measures and evaluates what the predictors propose for each device, and for all together."""
        state = self.state
        fleet = len(state.groups) > 1
        share = -(-self._size() // (len(state.latencies) + fleet))
        inners = {one.device.name: self._inner(one) for one in state.latencies}
        proposals = []
        for index, one in enumerate(state.latencies):
            name = one.device.name
            found = self._proposed(inners[name], one, self._seed(index))
            state.tally.priced += found.priced
            if found.certificate is not None:
                state.tally.certificate[name] = found.certificate
            known = self._expected_of_known(one)
            picked = self._picked(found.candidates, found.objectives, share, [one], known)
            proposals.append(picked)
            self._measure(one, picked)
        if fleet:
            proposals.append(self._for_the_fleet(inners, share))
        every = joined(proposals)
        state.learn(every[: state.left])

    def _proposed(self, inner: Inner, one: Latencies, seed: int) -> Proposed:
        """Returns the front that is expected on a device; in a first round at its widest bits alone.

        What bits cost is small beside what architectures differ by, and is learned from few examples
        once those are known; a predictor that begins with both never gets to know the most accurate
        networks. Where nothing at the widest bits keeps the limits, bits are chosen from the start.
        """
        state, listener = self.state, self.account.listener(self.number, one)
        front = state.known_front(one)
        opening = self.number == 1 and state.settings.rounds > _ROUNDS_WITH_BITS
        if opening and len(inner.pairs) > 1:
            widest = replace(inner, pairs=inner.pairs[:1])
            found = widest.run(front, seed, listener)
            if len(found.candidates):
                return found
            state.tally.priced += found.priced
        return inner.run(front, seed, listener)

    def _size(self) -> int:
        settings = self.state.settings
        return max(settings.evaluations_per_round, int(settings.growth * len(self.state.accuracies.known)))

    def _seed(self, index: int) -> int:
        rng = np.random.default_rng([self.state.settings.seed, self.number, index])
        return int(rng.integers(2**31))

    def _inner(self, one: Latencies) -> Inner:
        state, name = self.state, one.device.name
        return Inner(
            space=state.space,
            device=name,
            pairs=one.pairs,
            goal=state.goal,
            accuracy=self.fits.accuracy,
            latency=self.fits.latency[name],
            settings=state.settings,
            reference=state.references[name],
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
        state = self.state
        known = state.accuracies.known.keys()
        fresh = np.array(
            [key not in known or any(key not in one.known for one in needed) for key in candidates.ids],
            dtype=bool,
        )
        candidates, objectives = candidates[fresh], objectives[fresh]
        if not len(candidates):
            return candidates
        soft, target = state.settings.soft, state.settings.target_latency_ms
        if soft and target is not None:
            at = state.goal.objectives.index("latency_ms")
            accuracy = -objectives[:, state.goal.objectives.index("accuracy_top1")]
            worth = reward(accuracy, objectives[:, at], target, soft)
            rows = np.argsort(-worth, kind="stable")[: 2 * n]
            candidates, objectives = candidates[rows], objectives[rows]
        elif expected is not None and objectives.shape[1] == 2:
            reference = state.references[needed[0].device.name]
            return candidates[gainful_subset(objectives, expected, reference, n)]
        return candidates[spread_subset(objectives, n)]

    def _expected_of_known(self, one: Latencies) -> Floats:
        """Objectives [k, m] of the known candidates within a device's limits, accuracies as predicted.

        An accuracy on a few hundred images is uncertain by a point, and the best of many are those
        that were lucky: beside them, no prediction would seem to gain anything.
        """
        goal = self.state.goal
        pool = Pool.of(self.state.accuracies, [one])
        objectives, _ = pool.points([one.device.name], goal)
        objectives[:, goal.objectives.index("accuracy_top1")] = -self.fits.accuracy.mean(pool.candidates)
        return objectives[~np.isnan(objectives).any(axis=1)]

    def _measure(self, one: Latencies, candidates: Candidates) -> None:
        """Measures proposals of one device, and keeps how far predictions were off."""
        if not len(candidates):
            return
        name, tally = one.device.name, self.state.tally
        predicted = self.fits.latency[name].predictor.mean(candidates)
        tally.predicted.setdefault(name, {}).update(zip(candidates.ids, predicted.tolist(), strict=True))
        one.learn(candidates)
        pairs = zip(one.values(candidates).tolist(), predicted.tolist(), strict=True)
        tally.verified.setdefault(name, []).extend(pairs)
        p95 = one.values(candidates, "p95_ms")
        one.surprises.extend((p95 / predicted).tolist())
        tally.missed += int((p95 > self.state.goal.latency_ms[name]).sum())

    def _for_the_fleet(self, inners: dict[str, Inner], n: int) -> Candidates:
        state = self.state
        none = state.known_front(state.latencies[0])[:0]
        found = for_the_fleet(inners, state.groups, none, self._seed(len(inners)))
        if found is None:
            return none
        state.tally.priced += found.priced
        # What counts is accuracy within all limits: the most accurate of the trade-off.
        best = np.argsort(found.objectives[:, 0], kind="stable")[: 2 * n]
        return self._picked(found.candidates[best], found.objectives[best], n, [])
