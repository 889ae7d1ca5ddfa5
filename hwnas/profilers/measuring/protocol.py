"""The measuring protocol: in which order subjects are timed, for how long, and what it is worth.

Pure logic over callables that tell the time and whether something else ran, so that it can be
tested with simulated clocks.

The canary is a network that never changes, timed between the others. Machines change their speed
by a third within a fraction of a second (a neighbour on the same core, a warm processor), and all
networks with them, but not all alike. So samples count that were taken while the canary ran at its
reference speed, each told in canary times: the sample over the canary's time around it, times the
canary's reference time. Where the machine was never at that speed all samples count, corrected as
far as the canary can, and the measurement is marked.

Where a network's weights and activations come to lie in memory, each time it is loaded, changes its
time by some percent for as long as it stays there. So each is loaded several times, its samples are
taken from the loads in turn, and the interval of the median follows how far the loads differ.
"""

from dataclasses import dataclass

from hwnas.profilers.energy.settings import EnergySettings
from hwnas.profilers.measurement import Verdict
from hwnas.profilers.measuring.statistics import Summary


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Every knob of a measurement.

    Attributes:
        loads: how often a subject is loaded, where loading is quick.
        canary_loads: the same of the canary, whose own place in memory would shift all the others.
        group_size: subjects timed in turns: the more, the longer a group lasts, and the more states of
            the machine each of them sees. A kill costs a group.
        group_bytes: a group is not added to once its artefacts are as large as this together: each
            load of a network takes two or three times as much memory.
        sample_ms: a sample averages as many calls as reach this time: short enough that its tail
            is that of single calls, long enough that the clock's own cost does not show.
        settling_ms: untimed calls before each sample last so long, at least one: the other subjects have
            emptied the caches, and after a few short calls what ran before still shows; after 0.3 ms
            networks were up to 5 % slower in the company of 31 others than in that of seven.
        warmup_samples: the length of the two windows compared to tell whether a subject has settled.
        warmup_percent: settled when the medians of the two windows differ by no more than this.
        warmup_ms: the most time a subject warms up for, all its loads together.
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

    loads: int = 6
    canary_loads: int = 16
    group_size: int = 32
    group_bytes: int = 1 << 28
    sample_ms: float = 0.2
    settling_ms: float = 1.0
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
