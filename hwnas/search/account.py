"""The account of a running search: how the hypervolume grew, and how far it is, for who watches."""

from collections.abc import Callable
from dataclasses import dataclass

from hwnas.search.inner import Found
from hwnas.search.pareto import hypervolume
from hwnas.search.result import Convergence, Status
from hwnas.search.state import State
from hwnas.search.truth import Latencies

# Hears of the state of a search after every generation.
Watch = Callable[[Status], None]


@dataclass(frozen=True, eq=False)
class Account:
    """Writes the lines of `convergence.csv` into the state's tally, and tells the watcher."""

    state: State
    watch: Watch | None

    def measured(self, number: int) -> float:
        """Returns the hypervolume of what is known after a round, and records it."""
        state, total = self.state, 0.0
        pool = state.pool()
        for group in state.groups:
            volume = pool.hypervolume(group, state.goal, state.references[group[0]])
            self._record(number, "measured", "+".join(group), 0, len(state.accuracies.known), volume)
            total += volume
        return total

    def listener(self, number: int, one: Latencies) -> Callable[[int, Found], None]:
        """Returns what records each generation of a round's search for one device."""
        state, name = self.state, one.device.name
        wanted = state.settings.inner_evaluations

        def heard(generation: int, found: Found) -> None:
            step = f"search for {name}, round {number}"
            state.progress.step(step, min(found.priced, wanted), wanted)
            # Beyond two objectives the volume costs more than the generation: at the end alone.
            if len(state.goal.objectives) == 2 or found.priced >= wanted:
                expected = hypervolume(found.objectives, state.references[name])
                priced = state.tally.priced + found.priced
                self._record(number, "proposed", name, generation, priced, expected)

        return heard

    def _record(
        self, number: int, stage: str, device: str, generation: int, evaluations: int, volume: float
    ) -> None:
        state = self.state
        state.tally.convergence.append(
            Convergence(
                round=number,
                stage=stage,
                device=device,
                generation=generation,
                evaluations=evaluations,
                hypervolume=volume,
                reference=state.goal.named(state.references[device.split("+")[0]]),
            )
        )
        if self.watch:
            self.watch(self._status(number, stage, device, generation, volume))

    def _status(self, number: int, stage: str, device: str, generation: int, volume: float) -> Status:
        state = self.state
        pool = state.pool()
        best = {}
        for group in state.groups:
            front = pool.front(group, state.goal)
            if front:
                row, name = max(front, key=lambda pair: pool.accuracy_top1[pair[0]])
                best[name] = (
                    float(pool.accuracy_top1[row]),
                    float(pool.on_device[name]["latency_ms"][row]),
                )
        budget = state.settings.budget_s
        pace = state.spent_s / (number + 1)
        left = max(0.0, (state.settings.rounds - number) * pace)
        return Status(
            round=number,
            rounds=state.settings.rounds,
            stage=stage,
            device=device,
            generation=generation,
            priced=state.tally.priced,
            evaluated=len(state.accuracies.known),
            hypervolume=volume,
            best=best,
            seconds_left=left if budget is None else min(left, max(0.0, budget - state.spent_s)),
        )
