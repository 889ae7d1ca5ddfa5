"""The knobs of a search for schedules, and how far it is."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TuningSettings:
    """The knobs of the search; a light evolutionary one does as well as TVM's default at half the CPU.

    Attributes:
        first_trials: candidates a kernel in the pass over all of them.
        more_trials: candidates a kernel each time it is taken up again.
        kernels_a_round: kernels tuned together; the time budget is looked at between rounds.
        population: schedules the search keeps; TVM's 512 spends most CPU on search.
        generations: of the search before each batch.
        batch: candidates built and timed together.
        workers: processes that build.
        build_timeout_s, run_timeout_s: after which a candidate counts as failed.
        min_repeat_ms: how long each candidate is timed.
        seed: of the search.
    """

    first_trials: int = 8
    more_trials: int = 16
    kernels_a_round: int = 8
    population: int = 64
    generations: int = 2
    batch: int = 8
    workers: int = 2
    build_timeout_s: float = 30.0
    run_timeout_s: float = 20.0
    min_repeat_ms: int = 20
    seed: int = 1


@dataclass(frozen=True)
class TuningProgress:
    """How far a search is: kernels that have a schedule, trials, and an average network's expected time."""

    tuned: int
    kernels: int
    trials: int
    expected_us: float
    elapsed_s: float
