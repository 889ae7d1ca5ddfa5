import os
from pathlib import Path

import pytest

from hwnas.errors import MeasurementError
from hwnas.profilers.tvm.making import make_pack, tune_space
from hwnas.profilers.tvm.packs import Pack, Schedule, tvm_version
from hwnas.profilers.tvm.records import KernelRecord
from hwnas.profilers.tvm.tuning import TuningProgress, TuningSettings, next_round
from hwnas.spaces import get_space

SETTINGS = TuningSettings(kernels_a_round=2, first_trials=8, more_trials=16)


def known(trials: int, best_us: float = 1.0) -> KernelRecord:
    return KernelRecord(trials, best_us, [0, [[[], []], [best_us * 1e-6], {}, []]])


def test_kernels_without_a_schedule_come_first_most_used_before() -> None:
    state = {"a": known(9, 99.0), "b": KernelRecord(), "c": KernelRecord(), "d": KernelRecord()}
    uses = {"a": 1.0, "b": 0.2, "c": 0.9, "d": 0.5}
    assert next_round(state, uses, SETTINGS) == (["c", "d"], 8)


def test_then_those_with_the_largest_share_of_time_for_their_trials() -> None:
    state = {"a": known(8, 4.0), "b": known(80, 30.0), "c": known(8, 2.0), "d": known(8, 50.0)}
    uses = {"a": 1.0, "b": 1.0, "c": 1.0, "d": 0.0}
    assert next_round(state, uses, SETTINGS) == (["a", "b"], 16)


def test_a_kernel_that_always_fails_does_not_hold_up_the_others() -> None:
    state = {"a": KernelRecord(trials=32), "b": known(8, 4.0)}
    assert next_round(state, {"a": 1.0, "b": 1.0}, SETTINGS)[1] == 16


def test_a_pack_needs_a_schedule_of_every_kernel() -> None:
    assert make_pack("demo", "x86-64-v3", {"a": known(8), "b": KernelRecord(trials=8)}) is None


def test_a_pack_holds_the_best_schedules_and_keeps_the_other_kernels() -> None:
    old = {"a": Schedule([[], []], 9.0, 1), "z": Schedule([[], []], 7.0, 1)}
    start = Pack("demo", "x86-64-v3", str(tvm_version()), "p", "2026-01-02", old)
    pack = make_pack("demo", "x86-64-v3", {"a": known(8, 2.0)}, start)
    assert pack is not None
    assert pack.schedules["a"].best_us == 2.0
    assert pack.schedules["z"] == old["z"]
    other = make_pack("demo", "x86-64-v4", {"a": known(8, 2.0)}, start)
    assert other is not None
    assert set(other.schedules) == {"a"}


@pytest.mark.slow
def test_tuning_starts_from_the_pack_in_use_and_goes_on_where_it_ended(home: Path) -> None:
    seen: list[TuningProgress] = []
    settings = TuningSettings(kernels_a_round=1, first_trials=2, more_trials=2, batch=2)
    result = tune_space(get_space("demo"), 1.0, settings=settings, on_progress=seen.append)
    assert seen[0].tuned == seen[0].kernels
    assert seen[0].trials == seen[0].kernels
    assert result.pack is not None
    assert result.pack.parent == home / "packs"
    again = tune_space(get_space("demo"), 10.0, settings=settings)
    assert again.progress.trials > result.progress.trials


@pytest.mark.slow
def test_tuning_stops_when_nothing_can_be_built(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "broken-compiler"
    broken.write_text("#!/bin/sh\necho no linking today >&2; exit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", os.fspath(broken))
    with pytest.raises(MeasurementError, match="could be built and run"):
        tune_space(
            get_space("demo"), 600.0, settings=TuningSettings(kernels_a_round=1, first_trials=2, batch=2)
        )
