"""The measuring protocol under simulated clocks."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from hwnas.profilers.protocol import Protocol, Timing, time_group, verdict
from hwnas.profilers.statistics import summary

PROTOCOL = Protocol()


class Machine:
    """A machine of known speeds; time passes only while something runs on it."""

    def __init__(
        self, times_ms: dict[str, float], noise: float = 0.0, speed: Callable[[float], float] | None = None
    ):
        self.times_ms = times_ms
        self.noise = noise
        self.speed = speed or (lambda now_ms: 1.0)
        self.rng = np.random.default_rng(0)
        self.now_ms = 0.0
        self.order: list[str] = []

    def time_calls(self, subject: str, calls: int) -> float:
        self.order.append(subject)
        return sum(self._run(self.times_ms[subject]) for _ in range(calls)) / calls

    def time_canary(self) -> float:
        return self._run(0.1)

    def _run(self, time_ms: float) -> float:
        took = time_ms * self.speed(self.now_ms) * (1 + self.noise * abs(self.rng.standard_normal()))
        self.now_ms += took
        return took


def timed(machine: Machine, protocol: Protocol = PROTOCOL) -> Timing:
    return time_group(
        list(machine.times_ms), machine.time_calls, machine.time_canary, protocol, np.random.default_rng(0)
    )


def test_a_steady_machine_gives_its_times_and_stops_at_the_least_number_of_samples() -> None:
    found = timed(Machine({"a": 0.05, "b": 1.0}))
    assert [len(one.samples_ms) for one in found.series.values()] == [PROTOCOL.samples_least] * 2
    assert np.allclose(found.series["a"].samples_ms, 0.05)
    assert np.allclose(found.series["b"].samples_ms, 1.0)


def test_calls_are_averaged_only_as_far_as_a_sample_needs() -> None:
    found = timed(Machine({"short": 0.03, "long": 0.25}))
    assert found.series["short"].calls == 7  # 0.2 / 0.03
    assert found.series["long"].calls == 1


def test_subjects_take_turns_in_changing_order() -> None:
    machine = Machine({"a": 0.3, "b": 0.3, "c": 0.3})
    timed(machine, replace(PROTOCOL, settling_calls=0))
    rounds = np.array(machine.order[-3 * PROTOCOL.samples_least :]).reshape(-1, 3)
    assert {tuple(sorted(row)) for row in rounds} == {("a", "b", "c")}
    assert len({tuple(row) for row in rounds}) > 1


def test_warm_up_lasts_until_a_subject_gets_no_faster() -> None:
    machine = Machine({"a": 0.3}, speed=lambda now_ms: 3 - 2 * min(1, now_ms / 20))
    found = timed(machine)
    assert max(found.series["a"].samples_ms) < 1.05 * 0.3


def test_noise_is_met_with_more_samples() -> None:
    quiet, noisy = timed(Machine({"a": 1.0}, 0.001)), timed(Machine({"a": 1.0}, 0.15))
    assert len(noisy.series["a"].samples_ms) > len(quiet.series["a"].samples_ms)


def test_samples_end_at_the_most_allowed() -> None:
    found = timed(Machine({"a": 1.0}, 2.0))
    assert len(found.series["a"].samples_ms) == PROTOCOL.samples_most


def test_slow_subjects_end_by_time() -> None:
    found = timed(Machine({"a": 500.0}))
    assert 0 < len(found.series["a"].samples_ms) < PROTOCOL.samples_least


def test_a_slow_minute_hits_all_subjects_alike() -> None:
    machine = Machine({"a": 1.0, "b": 1.0}, speed=lambda now_ms: 1.3 if now_ms > 60 else 1.0)
    found = timed(machine)
    a, b = (summary(one.samples_ms, PROTOCOL.outlier_deviations) for one in found.series.values())
    assert a.median_ms == pytest.approx(b.median_ms, rel=0.05)


def test_a_machine_that_changes_speed_is_called_unstable() -> None:
    machine = Machine({"a": 1.0}, speed=lambda now_ms: 1 + now_ms / 200)
    found = timed(machine)
    judged, reasons = verdict(summary(found.series["a"].samples_ms, 6), found.drift_ms, PROTOCOL)
    assert judged == "unstable"
    assert any("speed changed" in reason for reason in reasons)


def test_each_reason_for_doubt_is_named() -> None:
    steady = (1.0, 1.0)
    assert verdict(summary([1.0] * 40, 6), steady, PROTOCOL) == ("stable", ())
    wide = verdict(summary(np.linspace(1, 2, 40).tolist(), 100), steady, PROTOCOL)
    assert "median is known" in wide[1][0]
    tail = verdict(summary([1.0] * 36 + [5.0] * 4, 6), steady, PROTOCOL)
    assert tail[0] == "unstable"
    assert "p95" in tail[1][0]
    assert "speed" in verdict(summary([1.0] * 40, 6), (1.0, 1.2), PROTOCOL)[1][0]


def test_the_same_seed_gives_the_same_order() -> None:
    first, second = Machine({"a": 0.3, "b": 0.4}), Machine({"a": 0.3, "b": 0.4})
    timed(first)
    timed(second)
    assert first.order == second.order
