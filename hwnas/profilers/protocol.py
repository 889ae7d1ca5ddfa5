"""The measuring protocol: in which order subjects are timed, for how long, and what it is worth.

Pure logic over two callables that tell the time, so that it can be tested with simulated clocks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from hwnas.profilers.measurement import Verdict
from hwnas.profilers.statistics import Summary, summary

# Returns the mean time of one call, in ms, over so many calls of a subject in a row.
TimeCalls = Callable[[str, int], float]


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Every knob of a measurement.

    Attributes:
        group_size: subjects timed in turns, so that a slow minute hits all of them alike.
        group_bytes: a group is not added to once its artefacts are as large as this together: loaded
            networks take two or three times as much memory.
        sample_ms: a sample averages as many calls as reach this time: short enough that its tail
            is that of single calls, long enough that the clock's own cost does not show.
        settling_calls: untimed calls before each sample; the other subjects have emptied the caches.
        warmup_samples: the length of the two windows compared to tell whether a subject has settled.
        warmup_percent: settled when the later window's median is not faster by more than this.
        warmup_ms: the most time a subject warms up for.
        ci_percent: enough samples when the 95 % interval of the median is within this of it.
        samples_least: samples of each subject at least; below 20 a 95th percentile means little.
        samples_most: samples of each subject at most.
        subject_ms: the most time for the samples of one subject; `samples_least` is kept where it
            is not more than three times as long.
        outlier_deviations: robust standard deviations above the median that make an outlier.
        tail_ratio: p95 over median that makes a measurement unstable.
        drift_percent: change of the canary's time that makes a measurement unstable.
        canary_rounds: rounds from one timing of the canary to the next.
        silence_s: a worker that says nothing for this long is taken for hung.
        seed: of the order within rounds.
    """

    group_size: int = 8
    group_bytes: int = 1 << 30
    sample_ms: float = 0.2
    settling_calls: int = 1
    warmup_samples: int = 5
    warmup_percent: float = 2.0
    warmup_ms: float = 150.0
    ci_percent: float = 2.0
    samples_least: int = 40
    samples_most: int = 200
    subject_ms: float = 2000.0
    outlier_deviations: float = 6.0
    tail_ratio: float = 1.5
    drift_percent: float = 10.0
    canary_rounds: int = 4
    silence_s: float = 120.0
    seed: int = 0


@dataclass
class Series:
    """What was timed of one subject.

    Attributes:
        calls: calls averaged in one sample.
        samples_ms: in the order taken.
    """

    calls: int = 1
    samples_ms: list[float] = field(default_factory=list)

    @property
    def spent_ms(self) -> float:
        """The time its samples took."""
        return self.calls * sum(self.samples_ms)


@dataclass(frozen=True)
class Timing:
    """What was timed of a group: a series for each subject, and the canary's times in between."""

    series: dict[str, Series]
    canary_ms: tuple[float, ...]

    @property
    def drift_ms(self) -> tuple[float, float]:
        """The canary before and after: medians of the first and the last quarter of its times."""
        quarter = max(1, len(self.canary_ms) // 4)
        first, last = self.canary_ms[:quarter], self.canary_ms[-quarter:]
        return float(np.median(first)), float(np.median(last))


def time_group(
    subjects: Sequence[str],
    time_calls: TimeCalls,
    time_canary: Callable[[], float],
    protocol: Protocol,
    rng: np.random.Generator,
) -> Timing:
    """Returns the samples of subjects timed in rounds, each round in a new random order.

    Every subject stays in every round until all have enough samples, so that all see the same
    company and the same minutes.
    """
    series = {subject: Series(_warm_up(subject, time_calls, protocol)) for subject in subjects}
    canary = [time_canary() for _ in range(3)][1:]
    rounds = 0
    while not _done(series, protocol, rounds):
        for index in rng.permutation(len(subjects)):
            one = series[subjects[index]]
            for _ in range(protocol.settling_calls):
                time_calls(subjects[index], 1)
            one.samples_ms.append(time_calls(subjects[index], one.calls))
        rounds += 1
        if rounds % protocol.canary_rounds == 0:
            canary.append(time_canary())
    canary += [time_canary() for _ in range(2)]
    return Timing(series, tuple(canary))


def verdict(
    found: Summary, drift_ms: tuple[float, float], protocol: Protocol
) -> tuple[Verdict, tuple[str, ...]]:
    """Returns whether a measurement can be relied on, and if not, why."""
    reasons = []
    if found.ci_percent > protocol.ci_percent:
        reasons.append(
            f"the median is known to ±{found.ci_percent:.1f} % only, not ±{protocol.ci_percent:g} %"
        )
    if found.tail_ratio > protocol.tail_ratio:
        reasons.append(f"p95 is {found.tail_ratio:.2f} times the median, above {protocol.tail_ratio:g}")
    before, after = drift_ms
    drift = 100 * (max(before, after) / min(before, after) - 1)
    if drift > protocol.drift_percent:
        reasons.append(
            f"the machine's speed changed by {drift:.0f} % meanwhile, above {protocol.drift_percent:g} %"
        )
    return ("unstable" if reasons else "stable"), tuple(reasons)


def _warm_up(subject: str, time_calls: TimeCalls, protocol: Protocol) -> int:
    """Calls a subject until it gets no faster; returns how many calls make a sample."""
    window = protocol.warmup_samples
    times: list[float] = []
    spent = 0.0
    calls = 1
    while True:
        times.append(time_calls(subject, calls))
        spent += calls * times[-1]
        calls = max(1, int(np.ceil(protocol.sample_ms / float(np.median(times[-window:])))))
        if spent > protocol.warmup_ms:
            return calls
        if len(times) >= 2 * window:
            earlier, later = np.median(times[-2 * window : -window]), np.median(times[-window:])
            if later >= earlier * (1 - protocol.warmup_percent / 100):
                return calls


def _done(series: dict[str, Series], protocol: Protocol, rounds: int) -> bool:
    if rounds >= protocol.samples_most:
        return True
    spent = max(one.spent_ms for one in series.values())
    if rounds < protocol.samples_least:
        return rounds > 0 and spent > 3 * protocol.subject_ms
    if spent > protocol.subject_ms:
        return True
    # Looking at the interval after every round would stop at the first lucky one.
    if rounds % 10:
        return False
    found = (summary(one.samples_ms, protocol.outlier_deviations) for one in series.values())
    return all(one.ci_percent <= protocol.ci_percent for one in found)
