"""The measuring protocol under simulated clocks."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.profilers.measuring.protocol import Counted, Protocol, verdict
from hwnas.profilers.measuring.statistics import Summary, summary
from hwnas.profilers.measuring.timing import Timing, time_group

PROTOCOL = Protocol()
CANARY = "canary"


class Machine:
    """A machine of known speeds; time passes only while something runs on it."""

    def __init__(
        self,
        times_ms: dict[str, float],
        noise: float = 0.0,
        speed: Callable[[float], float] | None = None,
        busy: Callable[[float], bool] | None = None,
    ):
        self.times_ms = {**times_ms, CANARY: 0.1}
        self.subjects = list(times_ms)
        self.noise = noise
        self.speed = speed or (lambda now_ms: 1.0)
        self.busy = busy or (lambda now_ms: False)
        self.rng = np.random.default_rng(0)
        self.now_ms = 0.0
        self.order: list[str] = []
        # How much slower a load is for where it lies in memory.
        self.placed: dict[tuple[str, int], float] = {}
        self.was_busy = False

    def time_calls(self, subject: str, load: int, calls: int) -> float:
        self.order.append(subject)
        time_ms = self.times_ms[subject] * self.placed.get((subject, load), 1.0)
        return sum(self._run(time_ms) for _ in range(calls)) / calls

    def something_ran(self) -> bool:
        was_busy, self.was_busy = self.was_busy, False
        return was_busy

    def _run(self, time_ms: float) -> float:
        took = time_ms * self.speed(self.now_ms) * (1 + self.noise * abs(self.rng.standard_normal()))
        if self.busy(self.now_ms):
            took *= 1.5 + self.rng.random()
            self.was_busy = True
        self.now_ms += took
        return took


def timed(
    machine: Machine,
    protocol: Protocol = PROTOCOL,
    canary: str | None = CANARY,
    reference_ms: float | None = None,
) -> Timing:
    return time_group(
        machine.subjects,
        machine.time_calls,
        protocol,
        np.random.default_rng(0),
        canary=canary,
        reference_ms=reference_ms,
        something_ran=machine.something_ran,
    )


def corrected(timing: Timing, protocol: Protocol = PROTOCOL) -> dict[str, float]:
    """The medians at the canary's true time."""
    return {name: 0.1 * summarized(timing, name, protocol).median_ms for name in timing.series}


def summarized(timing: Timing, name: str, protocol: Protocol = PROTOCOL) -> Summary:
    left_out = counted_of(timing, name, protocol).left_out
    return summary(timing.relative(name), protocol.outlier_deviations, left_out)


def counted_of(timing: Timing, name: str, protocol: Protocol) -> Counted:
    return timing.counted(name, protocol, timing.disturbed(protocol.canary_jump))


def bimodal(now_ms: float) -> float:
    """A neighbour that slows the core down most of the time."""
    return 1.0 if not int(now_ms / 60) % 3 else 1.3


def test_a_steady_machine_gives_its_times_and_stops_at_the_least_number_of_samples() -> None:
    found = timed(Machine({"a": 0.05, "b": 1.0}))
    assert found.rounds == PROTOCOL.samples_least
    assert np.allclose(found.series["a"].samples_ms, 0.05)
    assert np.allclose(found.series["b"].samples_ms, 1.0)
    assert np.allclose(found.canary_ms, 0.1)
    assert found.disturbed(PROTOCOL.canary_jump) == []
    assert corrected(found) == pytest.approx({"a": 0.05, "b": 1.0})


def test_calls_are_averaged_only_as_far_as_a_sample_needs() -> None:
    found = timed(Machine({"short": 0.03, "long": 0.25}))
    assert found.series["short"].calls == 7  # 0.2 / 0.03
    assert found.series["long"].calls == 1


def test_short_subjects_settle_for_several_calls_and_long_ones_for_one() -> None:
    found = timed(Machine({"short": 0.03, "long": 5.0}))
    assert found.series["short"].settling == 34  # 1.0 / 0.03
    assert found.series["long"].settling == 1


def test_subjects_take_turns_in_changing_order() -> None:
    machine = Machine({"a": 0.3, "b": 0.3, "c": 0.3})
    timed(machine, canary=None)
    # One call settles, the next is the sample.
    rounds = np.array(machine.order[-6 * PROTOCOL.samples_least :: 2]).reshape(-1, 3)
    assert {tuple(sorted(row)) for row in rounds} == {("a", "b", "c")}
    assert len({tuple(row) for row in rounds}) > 1


@pytest.mark.parametrize("start", [3.0, 0.4])
def test_warm_up_lasts_until_the_time_is_stationary_from_either_side(start: float) -> None:
    machine = Machine({"a": 0.3}, speed=lambda now_ms: start + (1 - start) * min(1, now_ms / 10))
    found = timed(machine)
    assert found.series["a"].samples_ms == pytest.approx([0.3] * found.rounds, rel=0.1)


def test_warm_up_ends_on_a_machine_that_never_settles() -> None:
    machine = Machine({"a": 0.3}, speed=lambda now_ms: 1 + now_ms / 20)
    timed(machine, replace(PROTOCOL, samples_least=1, samples_most=1), canary=None)
    assert machine.now_ms < 2 * PROTOCOL.warmup_ms


def test_noise_is_met_with_more_samples() -> None:
    quiet, noisy = timed(Machine({"a": 1.0}, 0.001)), timed(Machine({"a": 1.0}, 0.2))
    assert noisy.rounds > quiet.rounds


def test_samples_end_at_the_most_allowed() -> None:
    assert timed(Machine({"a": 0.1}, 2.0), canary=None).rounds == PROTOCOL.samples_most


def test_a_few_noisy_subjects_do_not_hold_up_the_others() -> None:
    times = {f"s{n}": 0.2 for n in range(20)}

    class OneNoisy(Machine):
        def _run(self, time_ms: float) -> float:
            noise = 1 + 2 * self.rng.random() if self.order[-1] == "s0" else 1.0
            return super()._run(time_ms * noise)

    assert timed(OneNoisy(times)).rounds == PROTOCOL.samples_least


def test_slow_subjects_end_by_time() -> None:
    assert 0 < timed(Machine({"a": 500.0})).rounds < PROTOCOL.samples_least


def test_the_canary_is_timed_often_but_not_longer_than_its_share() -> None:
    machine = Machine({f"s{n}": 0.4 for n in range(10)})
    found = timed(machine)
    between_ms = machine.now_ms / len(found.canary_ms)
    assert between_ms < 2 * PROTOCOL.canary_every_ms
    slow = Machine({"a": 10.0})
    slow.times_ms[CANARY] = 10.0
    assert len(timed(slow).canary_ms) <= PROTOCOL.canary_share * timed(Machine({"a": 10.0})).rounds * 2


@pytest.mark.parametrize(
    "speed",
    [
        lambda now_ms: 1 + now_ms / 1000,
        lambda now_ms: 1.3 if now_ms > 60 else 1.0,
        bimodal,
        lambda now_ms: 1 + 0.2 * np.sin(now_ms / 300),
    ],
    ids=["ramp", "step", "bimodal", "wave"],
)
def test_the_canary_corrects_a_machine_that_changes_its_speed(speed: Callable[[float], float]) -> None:
    times = {"a": 0.2, "b": 1.0, "c": 0.05}
    found = timed(Machine(times, 0.01, speed))
    raw = {name: float(np.median(one.samples_ms)) for name, one in found.series.items()}
    assert corrected(found) == pytest.approx(times, rel=0.02)
    assert max(abs(raw[name] / times[name] - 1) for name in times) > 0.02


def test_correcting_adds_no_noise_on_a_quiet_machine() -> None:
    times = {"a": 0.2, "b": 0.7}
    found = timed(Machine(times, 0.01))
    raw = {name: float(np.median(one.samples_ms)) for name, one in found.series.items()}
    assert corrected(found) == pytest.approx(raw, rel=0.01)


@given(
    order=st.permutations(["a", "b", "c", "d", "e"]),
    slope=st.floats(-0.0004, 0.002),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=20, deadline=None)
def test_the_order_of_subjects_does_not_change_corrected_medians(
    order: list[str], slope: float, seed: int
) -> None:
    times = dict(zip("abcde", (0.1, 0.2, 0.4, 0.8, 1.6), strict=True))
    machine = Machine(
        {name: times[name] for name in order}, 0.02, lambda now_ms: max(0.5, 1 + slope * now_ms)
    )
    machine.rng = np.random.default_rng(seed)
    # Noise is one-sided and the canary's own is divided out, so times come back as they went in.
    assert corrected(timed(machine)) == pytest.approx(times, rel=0.02)


@given(scale=st.floats(0.4, 2.5))
@settings(max_examples=20, deadline=None)
def test_a_machine_slower_for_all_alike_is_corrected_exactly(scale: float) -> None:
    times = {"a": 0.3, "b": 0.9}
    slow = timed(Machine(times, speed=lambda now_ms: scale))
    assert corrected(slow) == pytest.approx(times, rel=1e-9)


def test_rounds_in_which_something_else_ran_are_taken_again() -> None:
    times = {"a": 0.4, "b": 0.8}
    found = timed(Machine(times, 0.005, busy=lambda now_ms: 60 < now_ms < 400))
    disturbed = found.disturbed(PROTOCOL.canary_jump)
    assert len(disturbed) > 20
    assert found.rounds - len(disturbed) >= PROTOCOL.samples_least
    assert corrected(found) == pytest.approx(times, rel=0.02)


def test_a_burst_that_does_not_end_is_said_so() -> None:
    protocol = replace(PROTOCOL, subject_ms=300.0)
    found = timed(Machine({"a": 0.4}, busy=lambda now_ms: True), protocol)
    judged, reasons = verdict(summarized(found, "a"), counted_of(found, "a", protocol), protocol)
    assert judged == "unstable"
    assert any("something else ran" in reason for reason in reasons)


def test_without_a_canary_there_is_no_drift_to_tell() -> None:
    found = timed(Machine({"a": 1.0}), canary=None)
    assert found.drift_ms is None
    assert found.canary_around("a") is None
    assert np.allclose(found.relative("a"), 1.0)


class Responsive(Machine):
    """A machine in whose slow state `b` slows down more than the canary and `a` less."""

    def _run(self, time_ms: float) -> float:
        slow = self.speed(self.now_ms) > 1
        response = {"a": 1.05, "b": 1.6}.get(self.order[-1], 1.3) / 1.3 if slow else 1.0
        return super()._run(time_ms * response)


@pytest.mark.parametrize("reference_ms", [None, 0.1])
def test_only_times_at_full_speed_count_where_networks_respond_differently(
    reference_ms: float | None,
) -> None:
    times = {"a": 0.2, "b": 0.2}
    found = timed(Responsive(times, 0.005, bimodal), reference_ms=reference_ms)
    assert corrected(found) == pytest.approx(times, rel=0.02)
    for name in times:
        counted = counted_of(found, name, PROTOCOL)
        assert PROTOCOL.speed_samples <= counted.at_speed < found.rounds
        assert len(counted.left_out) == found.rounds - counted.at_speed
        assert verdict(summarized(found, name), counted, PROTOCOL) == ("stable", ())


def test_a_machine_that_is_never_at_full_speed_is_corrected_and_marked() -> None:
    times = {"a": 0.2, "b": 0.7}
    protocol = replace(PROTOCOL, samples_most=120)
    found = timed(Machine(times, speed=lambda now_ms: 1.3), protocol, reference_ms=0.1)
    assert found.reference_ms == 0.1
    assert corrected(found, protocol) == pytest.approx(times)
    judged, reasons = verdict(summarized(found, "a", protocol), counted_of(found, "a", protocol), protocol)
    assert judged == "unstable"
    assert "at full speed in 0 of" in reasons[0]


def test_a_machine_faster_than_it_was_known_to_be_sets_the_reference() -> None:
    found = timed(Machine({"a": 0.2}), reference_ms=0.13)
    assert found.reference_ms == pytest.approx(0.1)
    assert verdict(summarized(found, "a"), counted_of(found, "a", PROTOCOL), PROTOCOL) == ("stable", ())


def test_a_noisy_canary_alone_does_not_make_a_calm_machine_unstable() -> None:
    class NoisyCanary(Machine):
        def _run(self, time_ms: float) -> float:
            noise = 1 + 0.2 * self.rng.random() if self.order[-1] == CANARY else 1.0
            return super()._run(time_ms * noise)

    found = timed(NoisyCanary({"a": 0.2, "b": 0.7}))
    counted = counted_of(found, "a", PROTOCOL)
    assert counted.at_speed > found.rounds / 2
    assert verdict(summarized(found, "a"), counted, PROTOCOL) == ("stable", ())


def test_each_reason_for_doubt_is_named() -> None:
    steady, flat = Counted((), 40, 0, 40), summary([1.0] * 40, 6)
    assert verdict(flat, steady, PROTOCOL) == ("stable", ())
    wide = verdict(summary(np.linspace(1, 2, 40).tolist(), 100), steady, PROTOCOL)
    assert "median is known" in wide[1][0]
    tail = verdict(summary([1.0] * 36 + [5.0] * 4, 6), steady, PROTOCOL)
    assert tail[0] == "unstable"
    assert "p95" in tail[1][0]
    assert "full speed in 9 of 100 rounds" in verdict(flat, Counted((), 9, 0, 100), PROTOCOL)[1][0]
    assert "in 60 of 100 rounds" in verdict(flat, Counted((), 40, 60, 100), PROTOCOL)[1][0]
    assert verdict(flat, Counted((), 60, 5, 100), PROTOCOL)[0] == "stable"


def test_samples_come_from_the_loads_in_turn_so_that_no_place_in_memory_decides() -> None:
    machine = Machine({"a": 0.3})
    machine.placed = {("a", load): 1 + 0.02 * load for load in range(5)}
    found = time_group(
        ["a"], machine.time_calls, PROTOCOL, np.random.default_rng(0), loads=5, canary=CANARY, canary_loads=3
    )
    samples = np.array(found.series["a"].samples_ms)
    for load in range(5):
        assert samples[load::5] == pytest.approx(0.3 * (1 + 0.02 * load))
    assert np.median(samples) == pytest.approx(0.3 * 1.04)


def test_loads_that_differ_are_in_the_interval_and_no_reason_to_measure_longer() -> None:
    machine = Machine({"a": 0.3}, noise=0.002)
    machine.placed = {("a", load): 1 + 0.05 * load for load in range(5)}
    found = time_group(["a"], machine.time_calls, PROTOCOL, np.random.default_rng(0), loads=5, canary=CANARY)
    assert found.rounds == PROTOCOL.samples_least
    assert summary(found.relative("a"), 6).ci_percent < 20 / 3
    known = summary(found.relative("a"), 6, loads=5)
    # Student's t with 4 degrees of freedom times the standard error of five loads 5 % apart.
    assert known.ci_high_ms - known.median_ms == pytest.approx(3 * 2.776 * 0.05 * np.sqrt(2.5 / 5), rel=0.05)
    assert verdict(known, counted_of(found, "a", PROTOCOL), PROTOCOL)[0] == "unstable"


def test_the_canary_is_told_as_if_it_lay_in_memory_as_it_does_on_average() -> None:
    machine = Machine({f"s{n}": 0.4 for n in range(10)}, speed=bimodal)
    machine.placed = {(CANARY, load): 1 + 0.05 * load for load in range(4)}
    found = time_group(
        machine.subjects,
        machine.time_calls,
        PROTOCOL,
        np.random.default_rng(0),
        canary=CANARY,
        canary_loads=4,
    )
    assert len(found.canary_ms) == len(found.canary_taken_ms)
    assert found.reference_ms == pytest.approx(0.1 * 1.075, rel=0.01)
    medians = {name: 0.1075 * float(np.median(found.relative(name))) for name in found.series}
    assert medians == pytest.approx(dict.fromkeys(machine.subjects, 0.4), rel=0.02)


def test_the_same_seed_gives_the_same_order() -> None:
    first, second = Machine({"a": 0.3, "b": 0.4}), Machine({"a": 0.3, "b": 0.4})
    timed(first)
    timed(second)
    assert first.order == second.order
