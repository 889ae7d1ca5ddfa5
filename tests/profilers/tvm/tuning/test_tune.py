import os
from pathlib import Path

import pytest

from hwnas.errors import MeasurementError
from hwnas.profilers.tvm.kernels.packs import Pack, Schedule, tvm_version
from hwnas.profilers.tvm.target import Target
from hwnas.profilers.tvm.tuning import making
from hwnas.profilers.tvm.tuning.making import make_pack, tune_space
from hwnas.profilers.tvm.tuning.records import KernelRecord
from hwnas.profilers.tvm.tuning.tune import TuningProgress, TuningSettings, next_round
from hwnas.spaces import get_space

V3 = Target(mcpu="x86-64-v3")
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


def test_a_pack_holds_the_kernels_that_are_tuned() -> None:
    assert set(make_pack("demo", V3, {"a": known(8), "b": KernelRecord(trials=8)}).schedules) == {"a"}


def test_a_pack_holds_the_best_schedules_and_keeps_the_other_kernels() -> None:
    old = {"a": Schedule([[], []], 9.0, 1), "z": Schedule([[], []], 7.0, 1)}
    start = Pack("demo", V3, str(tvm_version()), "p", "2026-01-02", old)
    pack = make_pack("demo", V3, {"a": known(8, 2.0)}, start)
    assert pack.schedules["a"].best_us == 2.0
    assert pack.schedules["z"] == old["z"]
    other = make_pack("demo", Target(mcpu="x86-64-v4"), {"a": known(8, 2.0)}, start)
    assert set(other.schedules) == {"a"}


@pytest.mark.slow
def test_tuning_starts_from_the_pack_in_use_and_goes_on_where_it_ended(home: Path) -> None:
    seen: list[TuningProgress] = []
    settings = TuningSettings(kernels_a_round=1, first_trials=2, more_trials=2, batch=2)
    result = tune_space(get_space("demo"), 10.0, settings=settings, on_progress=seen.append)
    assert [one.tuned for one in seen[:2]] == [0, 1]
    assert seen[1].trials in (2, 3)  # two by rule, and the one known before if there is a pack
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


def _script(folder: Path, text: str) -> str:
    path = folder / "process"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return os.fspath(path)


def test_a_tuning_process_that_dies_is_started_again(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    state = (
        '{"event": "progress", "tuned": 1, "kernels": 2, "trials": 8, "expected_us": 1.0, "elapsed_s": 1.0}'
    )
    text = f"""read request
if [ ! -e {tmp_path}/died ]; then touch {tmp_path}/died; kill -9 $$; fi
echo '{state}'
echo '{{"event": "done", "pack": "/p"}}'"""
    monkeypatch.setattr(making.sys, "executable", _script(tmp_path, text))
    seen: list[TuningProgress] = []
    result = tune_space(get_space("demo"), 60.0, target=V3, on_progress=seen.append)
    assert (tmp_path / "died").exists()
    assert result.pack == Path("/p")
    assert [one.tuned for one in seen] == [1]


def test_one_that_always_dies_is_given_up_in_one_line(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(making.sys, "executable", _script(tmp_path, "exit 3"))
    with pytest.raises(MeasurementError, match=r"code 3, 4 times; .*goes on where it ended") as caught:
        tune_space(get_space("demo"), 60.0, target=V3)
    assert "\n" not in str(caught.value)
