"""The main road's search: measure, fit, propose from the predictors, verify, refit, repeat."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hwnas.profilers.device import Device
from hwnas.progress import Progress
from hwnas.search.account import Account, Watch
from hwnas.search.ending import device_facts, members_of, most_rewarded
from hwnas.search.feasible import refuse_hopeless, say_if_idle, usable_pairs
from hwnas.search.front import Front
from hwnas.search.goal import Goal
from hwnas.search.pool import competing
from hwnas.search.result import Fits, SearchResult
from hwnas.search.round import Round
from hwnas.search.run_folder import Journal
from hwnas.search.sample import first_sample, pairs_of
from hwnas.search.settings import SearchSettings
from hwnas.search.state import State
from hwnas.search.telling import at_random, measure_what_tells
from hwnas.search.truth import Accuracies, Evaluate, Latencies, Measure
from hwnas.spaces import Candidates, Space


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
        state = State(
            space=self.space,
            settings=self.settings,
            goal=Goal.of(self.settings, [device.name for device in self.devices]),
            accuracies=Accuracies(self.evaluate, self.journal),
            latencies=[
                Latencies(device, usable_pairs(device, self.settings.bits), self.measure, self.journal)
                for device in self.devices
            ],
            groups=competing(self.devices),
            progress=self.progress,
        )
        baselines = self._begin(state)
        account = Account(state, self.watch)
        volumes = [account.measured(0)]
        fits = state.fit()
        if measure_what_tells(
            state.latencies, fits, state.goal, self.settings, self.space, state.known_front
        ):
            fits = state.fit()
        while (ended := _end(state, volumes)) is None:
            number = len(volumes)
            Round(state, account, number, fits).verify()
            fits = state.fit()
            volumes.append(account.measured(number))
            self.progress.say(
                f"round {number}: {len(state.accuracies.known)} evaluated, hypervolume {volumes[-1]:.4g}"
            )
        return _result(state, fits, baselines, volumes, ended)

    def _begin(self, state: State) -> Mapping[str, Candidates]:
        """Learns the first sample; returns the baselines in it."""
        settings = self.settings
        wanted = max(settings.profile_samples, settings.initial_evaluations)
        sample, baselines = first_sample(
            self.space,
            pairs_of([one.pairs for one in state.latencies]),
            wanted,
            np.random.default_rng(settings.seed),
        )
        for one in state.latencies:
            one.learn(one.runnable(sample[: at_random(one, settings)]))
        within = refuse_hopeless(state.latencies, state.goal, settings, self.space)
        say_if_idle(state.latencies, state.goal, self.progress.say)
        state.set_references()
        state.learn(Candidates.concatenate([sample[: settings.initial_evaluations], within]))
        return baselines


def _end(state: State, volumes: Sequence[float]) -> str | None:
    """Why no further round begins; None where one does.

    Args:
        state: of the search.
        volumes: hypervolumes before the first round and after each.
    """
    settings = state.settings
    if len(volumes) > 2 and volumes[-1] <= volumes[-3] * (1 + settings.epsilon):
        return f"two rounds raised the hypervolume by less than {settings.epsilon:.1%}"
    if len(volumes) > settings.rounds:
        return "all rounds done"
    if settings.budget_s and state.spent_s > settings.budget_s:
        return "budget spent"
    if state.left is not None and state.left <= 0:
        return "all evaluations spent"
    return None


def _result(
    state: State, fits: Fits, baselines: Mapping[str, Candidates], volumes: Sequence[float], ended: str
) -> SearchResult:
    """The front of all that is known for sure, and the account of how it came about."""
    pool, goal, tally, known = state.pool(), state.goal, state.tally, state.accuracies.known
    members, fronts, fleet = members_of(pool, state)
    front = Front(
        space=state.space.name,
        devices={one.device.name: device_facts(one) for one in state.latencies},
        target_latency_ms=state.settings.shown_target_ms(list(goal.latency_ms)),
        objectives=goal.objectives,
        reference_point=goal.named(np.max(list(state.references.values()), axis=0)),
        hypervolume=volumes[-1],
        members=members,
        fronts=fronts,
        limits=goal.limits,
        fleet=fleet,
        soft=most_rewarded(pool, state),
        certificate=dict(tally.certificate),
    )
    return SearchResult(
        front=front,
        fits=fits,
        convergence=tally.convergence,
        verified=tally.verified,
        baselines={
            name: some[[row for row, key in enumerate(some.ids) if key in known]]
            for name, some in baselines.items()
        },
        proposed=sum(len(pairs) for pairs in tally.verified.values()),
        missed=tally.missed,
        rounds=len(volumes) - 1,
        ended=ended,
        pool=pool,
        goal=goal,
    )
