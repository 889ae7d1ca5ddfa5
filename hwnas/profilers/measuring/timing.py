"""Timing a group of subjects by the protocol: who is timed when, and which samples count."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from hwnas.profilers.measuring.protocol import Counted, Protocol, calm_enough
from hwnas.profilers.measuring.statistics import NORMAL_MAD, summary

# The quantile of a canary's times that is taken for its time at full speed.
_BEST = 0.1
# A canary that takes less than so much of its known time tells of a speed that was not known.
_FASTER = 0.97
# The loads of a canary are levelled when each was timed so often.
_LEVELLED = 4

# Returns the mean time of one call, in ms, of a subject in one of its loads, over so many calls in a row.
TimeCalls = Callable[[str, int, int], float]


@dataclass
class Series:
    """What was timed of one subject.

    Attributes:
        calls: calls averaged in one sample.
        settling: untimed calls before each sample.
        samples_ms: in the order taken, one a round, from the subject's loads in turn.
        turns: for each sample, how many times the canary had been timed before it.
    """

    calls: int = 1
    settling: int = 1
    samples_ms: list[float] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)


@dataclass
class Timing:
    """What was timed of a group.

    Attributes:
        series: of each subject.
        canary_taken_ms: the canary's times in between, from its loads in turn; empty where there is none.
        canary_loads: how many these are.
        busy: the numbers of the rounds in which something else ran.
        known_reference_ms: the canary's time when the device was first measured, if that is known.
    """

    series: dict[str, Series] = field(default_factory=dict)
    canary_taken_ms: list[float] = field(default_factory=list)
    canary_loads: int = 1
    busy: list[int] = field(default_factory=list)
    known_reference_ms: float | None = None

    @property
    def rounds(self) -> int:
        """How many samples each subject has."""
        return len(next(iter(self.series.values())).samples_ms)

    @property
    def canary_ms(self) -> NDArray[np.float64]:
        """The canary's times in order, as if it lay in memory as its loads do on average."""
        taken, loads = np.asarray(self.canary_taken_ms), self.canary_loads
        if loads == 1 or len(taken) < _LEVELLED * loads:
            return taken
        # Beside its neighbours in time, each load once, so that a change of speed does not count.
        before = loads // 2
        windows = sliding_window_view(np.pad(taken, (before, loads - 1 - before), mode="wrap"), loads)
        beside = taken / np.median(windows, axis=1)
        levels = np.array([np.median(beside[one::loads]) for one in range(loads)])
        return np.asarray(taken * levels.mean() / levels[np.arange(len(taken)) % loads])

    @property
    def reference_ms(self) -> float | None:
        """The canary's time at full speed; None without a canary.

        It is the known one, or the best tenth where none is known or that is clearly faster: then
        the device was first measured in a bad minute.
        """
        if not self.canary_taken_ms:
            return None
        best_ms = float(np.quantile(self.canary_ms, _BEST))
        known_ms = self.known_reference_ms
        return best_ms if known_ms is None or best_ms < _FASTER * known_ms else known_ms

    @property
    def drift_ms(self) -> tuple[float, float] | None:
        """The canary before and after: medians of the first and the last quarter of its times."""
        if not self.canary_taken_ms:
            return None
        canary_ms = self.canary_ms
        quarter = max(1, len(canary_ms) // 4)
        return float(np.median(canary_ms[:quarter])), float(np.median(canary_ms[-quarter:]))

    def canary_around(self, subject: str) -> NDArray[np.float64] | None:
        """Returns the canary's time around each sample, [rounds]: of two before and two after, the median.

        A single one would carry its own hiccups into the sample.
        """
        if not self.canary_taken_ms:
            return None
        canary_ms = self.canary_ms
        near = np.asarray(self.series[subject].turns)[:, None] + np.arange(-2, 2)
        return np.asarray(np.median(canary_ms[np.clip(near, 0, len(canary_ms) - 1)], axis=1))

    def disturbed(self, jump: float) -> list[int]:
        """Returns the rounds in which something else ran, or the canary took `jump` times its median."""
        found = set(self.busy)
        limit_ms = jump * np.median(self.canary_ms) if self.canary_taken_ms else np.inf
        for subject in self.series:
            around = self.canary_around(subject)
            if around is not None:
                found |= set(np.flatnonzero(around > limit_ms).tolist())
        return sorted(found)

    def off_speed(self, subject: str, protocol: Protocol) -> list[int]:
        """Returns the samples that were taken while the canary was not at its reference speed."""
        around, reference_ms = self.canary_around(subject), self.reference_ms
        if around is None or reference_ms is None:
            return []
        allowed = max(protocol.speed_percent / 100, 2 * self._canary_noise)
        return [int(one) for one in np.flatnonzero(np.abs(around / reference_ms - 1) > allowed)]

    def counted(self, subject: str, protocol: Protocol, disturbed: Collection[int]) -> "Counted":
        """Returns which samples of a subject its median is taken over; `disturbed` is what that says."""
        # Where hardly a round was calm there is nothing better than all of them.
        skipped = set(disturbed) if calm_enough(len(disturbed), self.rounds, protocol) else set()
        slow = skipped | set(self.off_speed(subject, protocol))
        at_speed = self.rounds - len(slow)
        enough = at_speed >= min(protocol.speed_samples, self.rounds)
        return Counted(tuple(sorted(slow if enough else skipped)), at_speed, len(disturbed), self.rounds)

    @property
    def _canary_noise(self) -> float:
        """Its scatter from one time to the next, relative, robust against changes of speed."""
        if len(self.canary_taken_ms) < 3:
            return 0.0
        steps = np.abs(np.diff(np.log(self.canary_ms)))
        return float(NORMAL_MAD * np.median(steps) / np.sqrt(2))

    def relative(self, subject: str) -> NDArray[np.float64]:
        """Returns the samples in canary times, [rounds]; in ms where there is no canary."""
        samples, around = np.asarray(self.series[subject].samples_ms), self.canary_around(subject)
        return samples if around is None else samples / around


def time_group(
    subjects: Sequence[str],
    time_calls: TimeCalls,
    protocol: Protocol,
    rng: np.random.Generator,
    *,
    loads: int = 1,
    canary: str | None = None,
    canary_loads: int = 1,
    reference_ms: float | None = None,
    something_ran: Callable[[], bool] = lambda: False,
) -> Timing:
    """Returns the samples of subjects timed in rounds, each round in a new random order.

    Every subject stays in every round until all have enough samples, so that all see the same
    company and the same minutes. Rounds in which something else ran are taken again.

    Args:
        subjects: at least one.
        time_calls: the clock.
        protocol: how to time them.
        rng: for the order.
        loads: how often each subject is loaded.
        canary: a subject of the clock that is timed in between.
        canary_loads: how often that is loaded.
        reference_ms: the canary's time at full speed; None takes its best tenth.
        something_ran: tells whether other work disturbed this since it was last asked.
    """
    timing = Timing(known_reference_ms=reference_ms, canary_loads=canary_loads)
    return _Group(list(subjects), time_calls, protocol, loads, canary, something_ran, timing).run(rng)


class _Group:
    """A group while it is timed."""

    def __init__(
        self,
        subjects: list[str],
        time_calls: TimeCalls,
        protocol: Protocol,
        loads: int,
        canary: str | None,
        something_ran: Callable[[], bool],
        timing: Timing,
    ) -> None:
        self._subjects = subjects
        self._time_calls = time_calls
        self._protocol = protocol
        self._loads = loads
        self._canary = canary
        self._something_ran = something_ran
        self._timing = timing
        self._canary_series = Series()
        self._spent_ms = 0.0
        self._canary_due_ms = 0.0

    def run(self, rng: np.random.Generator) -> Timing:
        """Returns what was timed."""
        for subject in self._subjects:
            self._timing.series[subject] = self._warm_up(subject, self._loads)
        if self._canary is not None:
            self._canary_series = self._warm_up(self._canary, self._timing.canary_loads)
        self._something_ran()
        self._spent_ms, looked_ms, looked_round, rounds = 0.0, 0.0, 0, 0
        while not (done := self._done(rounds)) or looked_round < rounds:
            if not done:
                self._round(rounds % self._loads, rng)
                rounds += 1
            if done or self._spent_ms - looked_ms >= self._protocol.look_ms:
                if self._something_ran():
                    self._timing.busy += range(looked_round, rounds)
                looked_ms, looked_round = self._spent_ms, rounds
        self._time_canary()
        return self._timing

    def _round(self, load: int, rng: np.random.Generator) -> None:
        for index in rng.permutation(len(self._subjects)):
            if self._spent_ms >= self._canary_due_ms:
                self._time_canary()
            series = self._timing.series[self._subjects[index]]
            series.samples_ms.append(self._sample(self._subjects[index], load, series))
            series.turns.append(len(self._timing.canary_taken_ms))

    def _time_canary(self) -> None:
        if self._canary is not None:
            begun_ms, taken = self._spent_ms, self._timing.canary_taken_ms
            taken.append(
                self._sample(self._canary, len(taken) % self._timing.canary_loads, self._canary_series)
            )
            took_ms = self._spent_ms - begun_ms
            wait_ms = max(self._protocol.canary_every_ms, took_ms / self._protocol.canary_share - took_ms)
            self._canary_due_ms = self._spent_ms + wait_ms

    def _sample(self, subject: str, load: int, series: Series) -> float:
        self._spent_ms += series.settling * self._time_calls(subject, load, series.settling)
        sample_ms = self._time_calls(subject, load, series.calls)
        self._spent_ms += series.calls * sample_ms
        return sample_ms

    def _warm_up(self, subject: str, loads: int) -> Series:
        """Calls each load until its time is stationary; returns a series that knows its numbers of calls."""
        limit_ms = self._protocol.warmup_ms / loads
        call_ms = float(np.median([self._warmed_ms(subject, load, limit_ms) for load in range(loads)]))
        calls, settling = (
            max(1, int(np.ceil(wanted_ms / call_ms)))
            for wanted_ms in (self._protocol.sample_ms, self._protocol.settling_ms)
        )
        return Series(calls, settling)

    def _warmed_ms(self, subject: str, load: int, limit_ms: float) -> float:
        protocol = self._protocol
        window = protocol.warmup_samples
        times: list[float] = []
        spent_ms = 0.0
        calls = 1
        while True:
            times.append(self._time_calls(subject, load, calls))
            spent_ms += calls * times[-1]
            later_ms = float(np.median(times[-window:]))
            calls = max(1, int(np.ceil(protocol.sample_ms / later_ms)))
            if spent_ms > limit_ms:
                return later_ms
            if len(times) >= 2 * window:
                earlier_ms = np.median(times[-2 * window : -window])
                if abs(later_ms - earlier_ms) <= earlier_ms * protocol.warmup_percent / 100:
                    return later_ms

    def _done(self, rounds: int) -> bool:
        protocol, timing = self._protocol, self._timing
        spent_ms = self._spent_ms / len(self._subjects)
        if rounds < protocol.samples_least:
            return rounds > 0 and spent_ms > 3 * protocol.subject_ms
        if spent_ms > protocol.subject_ms:
            return True
        # Looking at the intervals after every round would stop at the first lucky one.
        if rounds % 20 and rounds != protocol.samples_most:
            return False
        disturbed = timing.disturbed(protocol.canary_jump)
        calm = rounds - len(disturbed)
        if calm >= protocol.samples_most or rounds >= 2 * protocol.samples_most:
            return True
        if calm < protocol.samples_least:
            return False
        settled = sum(self._is_settled(subject, disturbed) for subject in self._subjects)
        return settled >= protocol.settled_share * len(self._subjects)

    def _is_settled(self, subject: str, disturbed: Collection[int]) -> bool:
        # By how much loads differ does not count here: more samples would not make it less.
        counted = self._timing.counted(subject, self._protocol, disturbed)
        if counted.at_speed < self._protocol.speed_samples:
            return False
        relative = self._timing.relative(subject)
        for load in range(self._loads):
            relative[load :: self._loads] /= np.median(relative[load :: self._loads])
        found = summary(relative, self._protocol.outlier_deviations, counted.left_out)
        return found.ci_percent <= self._protocol.ci_percent
