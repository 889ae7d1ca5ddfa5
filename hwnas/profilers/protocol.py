"""The measuring protocol: in which order subjects are timed, for how long, and what it is worth.

Pure logic over callables that tell the time and whether something else ran, so that it can be
tested with simulated clocks.

The canary is a network that never changes, timed between the others. Machines change their speed
by a third within a fraction of a second (a neighbour on the same core, a warm processor), and all
networks with them, but not all alike. So samples count that were taken while the canary ran at its
reference speed, each told in canary times: the sample over the canary's time around it, times the
canary's reference time. Where the machine was never at that speed all samples count, corrected as
far as the canary can, and the measurement is marked.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hwnas.profilers.energy.settings import EnergySettings
from hwnas.profilers.measurement import Verdict
from hwnas.profilers.statistics import NORMAL_MAD, Summary, summary

# The quantile of a canary's times that is taken for its time at full speed.
_BEST = 0.1
# A canary that takes less than so much of its known time tells of a speed that was not known.
_FASTER = 0.97

# Returns the mean time of one call, in ms, over so many calls of a subject in a row.
TimeCalls = Callable[[str, int], float]


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Every knob of a measurement.

    Attributes:
        group_size: subjects timed in turns: the more, the longer a group lasts, and the more states of
            the machine each of them sees. A kill costs a group.
        group_bytes: a group is not added to once its artefacts are as large as this together: loaded
            networks take two or three times as much memory.
        sample_ms: a sample averages as many calls as reach this time: short enough that its tail
            is that of single calls, long enough that the clock's own cost does not show.
        settling_calls: untimed calls before each sample; the other subjects have emptied the caches.
        warmup_samples: the length of the two windows compared to tell whether a subject has settled.
        warmup_percent: settled when the medians of the two windows differ by no more than this.
        warmup_ms: the most time a subject warms up for.
        ci_percent: enough samples when the 95 % interval of the median is within this of it.
        settled_share: of the subjects of a group that must have enough; the few that are left would
            cost all of them as much again, and are marked.
        samples_least: samples of each subject at least; below 20 a 95th percentile means little.
        samples_most: samples of each subject at most, and as many disturbed ones.
        subject_ms: the most time for a subject, all calls of its group shared out; `samples_least`
            is kept where it is not more than three times as long.
        outlier_deviations: robust standard deviations above the median that make an outlier.
        tail_ratio: p95 over median that makes a measurement unstable.
        canary_every_ms: the canary is timed when this time has passed since the last.
        canary_share: of the time, that the canary may take; where it takes long it is timed less often.
        speed_percent: samples count while the canary is within this of its reference, or within
            twice its own noise where that is more: networks feel a slow machine differently.
        speed_samples: samples at that speed at least; with fewer a measurement is unstable.
        look_ms: how often to look whether something else ran; counters of the system tick at 10 ms.
        canary_jump: rounds in which the canary took so many times its median are disturbed.
        visits: how often a subject is measured at most in one profiling run: again while unstable.
        silence_s: a worker that says nothing for this long is taken for hung.
        energy: how the energy of each subject is measured after its time; None measures none.
        seed: of the order within rounds.
    """

    group_size: int = 32
    group_bytes: int = 1 << 30
    sample_ms: float = 0.2
    settling_calls: int = 1
    warmup_samples: int = 5
    warmup_percent: float = 5.0
    warmup_ms: float = 100.0
    ci_percent: float = 2.0
    settled_share: float = 0.9
    samples_least: int = 100
    samples_most: int = 500
    subject_ms: float = 2000.0
    outlier_deviations: float = 6.0
    tail_ratio: float = 2.0
    canary_every_ms: float = 5.0
    canary_share: float = 0.2
    speed_percent: float = 3.0
    speed_samples: int = 20
    look_ms: float = 200.0
    canary_jump: float = 1.6
    visits: int = 2
    silence_s: float = 120.0
    energy: EnergySettings | None = None
    seed: int = 0


@dataclass
class Series:
    """What was timed of one subject.

    Attributes:
        calls: calls averaged in one sample.
        samples_ms: in the order taken, one a round.
        turns: for each sample, how many times the canary had been timed before it.
    """

    calls: int = 1
    samples_ms: list[float] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)


@dataclass
class Timing:
    """What was timed of a group.

    Attributes:
        series: of each subject.
        canary_ms: the canary's times in between, in order; empty where there is none.
        busy: the numbers of the rounds in which something else ran.
        known_reference_ms: the canary's time when the device was first measured, if that is known.
    """

    series: dict[str, Series] = field(default_factory=dict)
    canary_ms: list[float] = field(default_factory=list)
    busy: list[int] = field(default_factory=list)
    known_reference_ms: float | None = None

    @property
    def rounds(self) -> int:
        """How many samples each subject has."""
        return len(next(iter(self.series.values())).samples_ms)

    @property
    def reference_ms(self) -> float | None:
        """The canary's time at full speed; None without a canary.

        It is the known one, or the best tenth where none is known or that is clearly faster: then
        the device was first measured in a bad minute.
        """
        if not self.canary_ms:
            return None
        best_ms = float(np.quantile(self.canary_ms, _BEST))
        known_ms = self.known_reference_ms
        return best_ms if known_ms is None or best_ms < _FASTER * known_ms else known_ms

    @property
    def drift_ms(self) -> tuple[float, float] | None:
        """The canary before and after: medians of the first and the last quarter of its times."""
        if not self.canary_ms:
            return None
        quarter = max(1, len(self.canary_ms) // 4)
        first, last = self.canary_ms[:quarter], self.canary_ms[-quarter:]
        return float(np.median(first)), float(np.median(last))

    def canary_around(self, subject: str) -> NDArray[np.float64] | None:
        """Returns the canary's time around each sample, [rounds]: of two before and two after, the median.

        A single one would carry its own hiccups into the sample.
        """
        if not self.canary_ms:
            return None
        last = len(self.canary_ms) - 1
        near = np.asarray(self.series[subject].turns)[:, None] + np.arange(-2, 2)
        times: NDArray[np.float64] = np.asarray(self.canary_ms)[np.clip(near, 0, last)]
        return np.asarray(np.median(times, axis=1))

    def disturbed(self, jump: float) -> list[int]:
        """Returns the rounds in which something else ran, or the canary took `jump` times its median."""
        found = set(self.busy)
        for subject in self.series:
            around = self.canary_around(subject)
            if around is not None:
                found |= set(np.flatnonzero(around > jump * np.median(self.canary_ms)).tolist())
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
        if len(self.canary_ms) < 3:
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
    canary: str | None = None,
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
        canary: a subject of the clock that is timed in between.
        reference_ms: the canary's time at full speed; None takes its best tenth.
        something_ran: tells whether other work disturbed this since it was last asked.
    """
    timing = Timing(known_reference_ms=reference_ms)
    return _Group(list(subjects), time_calls, protocol, canary, something_ran, timing).run(rng)


@dataclass(frozen=True)
class Counted:
    """Which samples a median is taken over.

    Attributes:
        left_out: the others.
        at_speed: samples that were taken undisturbed while the canary ran at its reference speed.
        disturbed: rounds in which something else ran.
        rounds: in all.
    """

    left_out: tuple[int, ...]
    at_speed: int
    disturbed: int
    rounds: int


def verdict(found: Summary, counted: Counted, protocol: Protocol) -> tuple[Verdict, tuple[str, ...]]:
    """Returns whether a measurement can be relied on, and if not, why.

    Args:
        found: its summary.
        counted: the samples it is of.
        protocol: what is asked of it.
    """
    reasons = []
    if found.ci_percent > protocol.ci_percent:
        reasons.append(
            f"the median is known to ±{found.ci_percent:.1f} % only, not ±{protocol.ci_percent:g} %"
        )
    if found.tail_ratio > protocol.tail_ratio:
        reasons.append(f"p95 is {found.tail_ratio:.2f} times the median, above {protocol.tail_ratio:g}")
    if not calm_enough(counted.disturbed, counted.rounds, protocol):
        reasons.append(f"something else ran on the machine in {counted.disturbed} of {counted.rounds} rounds")
    elif counted.at_speed < min(protocol.speed_samples, counted.rounds):
        reasons.append(
            f"the machine was at full speed in {counted.at_speed} of {counted.rounds} rounds only, by the "
            "canary's reference time"
        )
    return ("unstable" if reasons else "stable"), tuple(reasons)


def calm_enough(disturbed: int, rounds: int, protocol: Protocol) -> bool:
    """Returns whether the rounds that were not disturbed suffice: half of the least that is asked."""
    return 2 * (rounds - disturbed) >= min(protocol.samples_least, rounds)


class _Group:
    """A group while it is timed."""

    def __init__(
        self,
        subjects: list[str],
        time_calls: TimeCalls,
        protocol: Protocol,
        canary: str | None,
        something_ran: Callable[[], bool],
        timing: Timing,
    ) -> None:
        self._subjects = subjects
        self._time_calls = time_calls
        self._protocol = protocol
        self._canary = canary
        self._something_ran = something_ran
        self._timing = timing
        self._canary_calls = 1
        self._spent_ms = 0.0
        self._canary_due_ms = 0.0

    def run(self, rng: np.random.Generator) -> Timing:
        """Returns what was timed."""
        for subject in self._subjects:
            self._timing.series[subject] = Series(self._warm_up(subject))
        if self._canary is not None:
            self._canary_calls = self._warm_up(self._canary)
        self._something_ran()
        self._spent_ms, looked_ms, looked_round, rounds = 0.0, 0.0, 0, 0
        while not (done := self._done(rounds)) or looked_round < rounds:
            if not done:
                self._round(rng)
                rounds += 1
            if done or self._spent_ms - looked_ms >= self._protocol.look_ms:
                if self._something_ran():
                    self._timing.busy += range(looked_round, rounds)
                looked_ms, looked_round = self._spent_ms, rounds
        self._time_canary()
        return self._timing

    def _round(self, rng: np.random.Generator) -> None:
        for index in rng.permutation(len(self._subjects)):
            if self._spent_ms >= self._canary_due_ms:
                self._time_canary()
            series = self._timing.series[self._subjects[index]]
            series.samples_ms.append(self._sample(self._subjects[index], series.calls))
            series.turns.append(len(self._timing.canary_ms))

    def _time_canary(self) -> None:
        if self._canary is not None:
            begun_ms = self._spent_ms
            self._timing.canary_ms.append(self._sample(self._canary, self._canary_calls))
            took_ms = self._spent_ms - begun_ms
            wait_ms = max(self._protocol.canary_every_ms, took_ms / self._protocol.canary_share - took_ms)
            self._canary_due_ms = self._spent_ms + wait_ms

    def _sample(self, subject: str, calls: int) -> float:
        for _ in range(self._protocol.settling_calls):
            self._spent_ms += self._time_calls(subject, 1)
        sample_ms = self._time_calls(subject, calls)
        self._spent_ms += calls * sample_ms
        return sample_ms

    def _warm_up(self, subject: str) -> int:
        """Calls a subject until its time is stationary; returns how many calls make a sample."""
        protocol = self._protocol
        window = protocol.warmup_samples
        times: list[float] = []
        spent = 0.0
        calls = 1
        while True:
            times.append(self._time_calls(subject, calls))
            spent += calls * times[-1]
            calls = max(1, int(np.ceil(protocol.sample_ms / float(np.median(times[-window:])))))
            if spent > protocol.warmup_ms:
                return calls
            if len(times) >= 2 * window:
                earlier, later = np.median(times[-2 * window : -window]), np.median(times[-window:])
                if abs(later - earlier) <= earlier * protocol.warmup_percent / 100:
                    return calls

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
        counted = self._timing.counted(subject, self._protocol, disturbed)
        if counted.at_speed < self._protocol.speed_samples:
            return False
        relative = self._timing.relative(subject)
        found = summary(relative, self._protocol.outlier_deviations, counted.left_out)
        return found.ci_percent <= self._protocol.ci_percent
