"""The worker process: what it measures, and what is left when it breaks."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from hwnas.errors import MeasurementError
from hwnas.profilers.machine.fingerprint import Fingerprint
from hwnas.profilers.measuring.meter import Canary, GroupResult
from hwnas.profilers.measuring.protocol import Protocol
from hwnas.profilers.measuring.worker_meter import worker_meter

FAST = Protocol(samples_least=5, samples_most=5, warmup_ms=1.0, silence_s=5.0)
FINGERPRINT = Fingerprint({"device": "fake", "runtime_version": "fake 1"})


@pytest.fixture(autouse=True)
def runner_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


def measured(folder: Path, behaviours: dict[str, str], protocol: Protocol = FAST) -> GroupResult:
    artefacts = {}
    for name, text in behaviours.items():
        artefacts[name] = folder / name
        artefacts[name].write_text(text)
    with worker_meter("fake", "fake_runner", FINGERPRINT, protocol, conditions={"pack": "p"}) as meter:
        return meter.measure(artefacts)


def test_times_are_of_the_right_size_and_carry_their_conditions(tmp_path: Path) -> None:
    result = measured(tmp_path, {"a": "sleep 0.002", "b": "sleep 0.008"})
    a, b = result.measurements
    assert (a.subject, b.subject) == ("a", "b")
    assert 2 <= a.latency_ms <= b.latency_ms
    assert b.latency_ms >= 8
    assert 5 <= len(a.samples_ms) <= 20
    assert a.ci_low_ms <= a.latency_ms <= a.ci_high_ms <= a.p95_ms
    assert a.fingerprint == FINGERPRINT.digest
    assert a.conditions["pack"] == "p"
    assert a.conditions["runtime_version"] == "fake 1"
    assert len(a.conditions["cores"]) == 1
    assert a.conditions["group"] == 2


def with_canary(
    folder: Path, behaviours: dict[str, str], canary: str, reference_ms: float | None
) -> GroupResult:
    artefacts = {}
    for name, text in {**behaviours, "canary": canary}.items():
        artefacts[name] = folder / name
        artefacts[name].write_text(text)
    path = artefacts.pop("canary")
    with worker_meter("fake", "fake_runner", FINGERPRINT, FAST) as meter:
        return meter.measure(artefacts, Canary(path, reference_ms))


def test_times_are_corrected_to_the_canarys_reference_and_the_clocks_are_kept(tmp_path: Path) -> None:
    (one,) = with_canary(tmp_path, {"a": "sleep 0.004"}, "sleep 0.002", 1.0).measurements
    assert one.canary_reference_ms == 1.0
    assert len(one.canary_samples_ms) == len(one.samples_ms) >= 5
    assert min(one.canary_samples_ms) >= 2
    assert one.canary_ms is not None
    assert one.raw_latency_ms is not None
    assert one.raw_latency_ms >= 4
    counted = [number for number in range(len(one.samples_ms)) if number not in one.left_out]
    corrected = np.array(one.samples_ms)[counted] / np.array(one.canary_samples_ms)[counted]
    assert one.latency_ms == pytest.approx(float(np.median(corrected)))
    assert one.ci_low_ms <= one.latency_ms <= one.ci_high_ms


def test_the_first_good_moments_of_the_canary_become_its_reference(tmp_path: Path) -> None:
    (one,) = with_canary(tmp_path, {"a": "sleep 0.004"}, "sleep 0.002", None).measurements
    assert one.canary_reference_ms is not None
    assert 2 <= one.canary_reference_ms <= min(one.canary_samples_ms) * 1.5
    assert one.latency_ms == pytest.approx(one.raw_latency_ms, rel=0.5)


def test_without_a_canary_times_are_the_clocks(tmp_path: Path) -> None:
    (one,) = measured(tmp_path, {"a": "sleep 0.002"}).measurements
    assert one.latency_ms == one.raw_latency_ms
    assert one.p95_ms == one.raw_p95_ms
    assert (one.canary_ms, one.canary_reference_ms, one.canary_samples_ms) == (None, None, ())


def test_a_canary_that_does_not_run_leaves_times_uncorrected_and_says_so(tmp_path: Path) -> None:
    result = with_canary(tmp_path, {"a": "quick"}, "fail", 1.0)
    (one,) = result.measurements
    assert not result.failures
    assert one.verdict == "unstable"
    assert any("the canary failed: ValueError" in reason for reason in one.reasons)
    assert one.latency_ms == one.raw_latency_ms


def test_an_artefact_is_broken_down_where_the_runner_can(tmp_path: Path) -> None:
    for name, text in {"parts": "parts", "quick": "quick", "bad": "fail"}.items():
        (tmp_path / name).write_text(text)
    with worker_meter("fake", "fake_runner", FINGERPRINT, FAST) as meter:
        found = meter.breakdown(tmp_path / "parts")
        assert found is not None
        assert found[0] == {"stem.conv": 0.25, "ReorderOutput": 0.5}
        assert found[1] > 0
        assert meter.breakdown(tmp_path / "quick") is None
        with pytest.raises(MeasurementError, match="cannot be loaded"):
            meter.breakdown(tmp_path / "bad")


def test_a_runner_tells_facts_of_the_machine_it_runs_on(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("parts")
    with worker_meter("fake", "fake_runner", FINGERPRINT, FAST, settings={"here": False}) as meter:
        (one,) = meter.measure({"a": tmp_path / "a"}).measurements
    assert one.conditions["server"] == "elsewhere"
    assert "load_average" not in one.conditions


def test_loading_may_be_given_more_time_than_silence(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("slow 1.0")
    protocol = Protocol(samples_least=5, samples_most=5, warmup_ms=1.0, silence_s=0.5)
    with worker_meter("fake", "fake_runner", FINGERPRINT, protocol, load_s=20.0) as meter:
        assert len(meter.measure({"a": tmp_path / "a"}).measurements) == 1


def test_an_artefact_that_does_not_load_is_named_and_the_others_are_kept(tmp_path: Path) -> None:
    result = measured(tmp_path, {"a": "quick", "b": "fail"})
    assert [one.subject for one in result.measurements] == ["a"]
    assert [(one.subject, one.reason) for one in result.failures] == [
        ("b", "ValueError: this artefact cannot be loaded")
    ]


@pytest.mark.parametrize(
    ("how", "says"), [("crash", "status 7: out of luck"), ("crash hard", "signal 9: out of luck")]
)
def test_a_crash_costs_only_the_subject_that_caused_it(tmp_path: Path, how: str, says: str) -> None:
    result = measured(tmp_path, {"a": "quick", "b": how, "c": "quick"})
    assert [one.subject for one in result.measurements] == ["a", "c"]
    assert [one.subject for one in result.failures] == ["b"]
    assert says in result.failures[0].reason


def test_a_crash_that_does_not_repeat_costs_nothing(tmp_path: Path) -> None:
    result = measured(tmp_path, {"a": f"once {tmp_path / 'flag'}", "b": "quick"})
    assert {one.subject for one in result.measurements} == {"a", "b"}
    assert not result.failures


def test_a_hang_is_ended_and_named(tmp_path: Path) -> None:
    protocol = Protocol(samples_least=5, samples_most=5, warmup_ms=1.0, silence_s=0.5)
    result = measured(tmp_path, {"a": "quick", "b": "hang"}, protocol)
    assert [one.subject for one in result.measurements] == ["a"]
    assert "said nothing for 0.5 s while it loaded b" in result.failures[0].reason


def test_torch_cannot_come_into_the_worker(tmp_path: Path) -> None:
    result = measured(tmp_path, {"a": "torch"})
    assert "torch" in result.failures[0].reason


def test_a_runner_that_cannot_be_imported_is_an_error_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("quick")
    with (
        worker_meter("fake", "no_such_runner", FINGERPRINT, FAST) as meter,
        pytest.raises(MeasurementError, match="No module named 'no_such_runner'"),
    ):
        meter.measure({"a": tmp_path / "a"})


def test_one_worker_serves_all_groups(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("quick")
    with worker_meter("fake", "fake_runner", FINGERPRINT, FAST) as meter:
        meter.measure({"a": tmp_path / "a"})
        first = meter._worker._process.pid  # type: ignore[attr-defined]
        meter.measure({"a": tmp_path / "a"})
        assert meter._worker._process.pid == first  # type: ignore[attr-defined]
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)


def test_a_worker_that_has_loaded_enough_gives_way_to_a_fresh_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hwnas.profilers.measuring.worker_meter._LOADS_MOST", 2 * FAST.loads)
    (tmp_path / "a").write_text("quick")
    workers = []
    with worker_meter("fake", "fake_runner", FINGERPRINT, FAST, reload=True) as meter:
        for _ in range(4):
            (one,) = meter.measure({"a": tmp_path / "a"}).measurements
            assert one.conditions["loads"] == FAST.loads
            workers.append(meter._worker._process.pid)  # type: ignore[attr-defined]
    assert workers[0] == workers[1] != workers[2] == workers[3]


def test_the_worker_dies_with_its_parent_even_while_it_measures(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("hang")
    script = (
        "import sys; from pathlib import Path; from hwnas.profilers.measuring.worker_meter import *\n"
        "with worker_meter('fake', 'fake_runner', Fingerprint({}), Protocol()) as meter:\n"
        "    print(meter._worker._start().pid, flush=True)\n"
        "    meter.measure({'a': Path(sys.argv[1])})\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "a")], stdout=subprocess.PIPE, env=environment
    )
    assert parent.stdout
    worker = int(parent.stdout.readline())
    time.sleep(0.3)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    for _ in range(100):
        state = Path(f"/proc/{worker}/stat")
        if not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return
        time.sleep(0.05)
    pytest.fail("the worker outlived its parent")


def test_a_device_that_is_gone_ends_the_measuring_at_once(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match=r"^the board is gone$"):
        measured(tmp_path, {"a": "gone", "b": "quick"})


def test_a_meter_that_is_closed_ends_what_another_thread_measures(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("hang")
    with (
        ThreadPoolExecutor() as pool,
        worker_meter("fake", "fake_runner", FINGERPRINT, FAST) as meter,
    ):
        future = pool.submit(meter.measure, {"a": tmp_path / "a"})
        time.sleep(1)
    with pytest.raises(MeasurementError, match="stopped"):
        future.result()
