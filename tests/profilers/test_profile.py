"""Profiling on a device whose artefacts sleep, in one process and in processes that are killed."""

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hwnas.errors import InputError, MeasurementError
from hwnas.profilers import Device, Fingerprint, GroupResult, Measurement, Meter, Protocol, Store, profile
from hwnas.profilers.device import Remarks
from hwnas.profilers.measurement import Kind, Verdict
from hwnas.profilers.measuring.canary import canary_network
from hwnas.profilers.measuring.meter import Canary
from hwnas.profilers.measuring.worker_meter import _WorkerMeter, worker_meter
from hwnas.profilers.profile import canary_reference_ms
from hwnas.spaces import Candidates, Layer, Network, get_space

FAST = Protocol(group_size=3, samples_least=5, samples_most=5, warmup_ms=1.0, sample_ms=0.01, visits=1)


class Sleeper(Device):
    """Runs a network by sleeping for a hundredth of a millisecond a layer; counts what it builds."""

    name = "sleeper"
    runtime = "sleep"
    kind: Kind = "measured"
    bits = (32,)

    def __init__(self, broken: Sequence[str] = (), log: Path | None = None) -> None:
        self.broken = broken
        self.log = log
        self.built: list[str] = []

    def unavailable(self) -> str | None:
        return None

    def fingerprint(self) -> Fingerprint:
        return Fingerprint({"device": self.name})

    def refusal(self, layer: Layer) -> str | None:
        return None if layer.weight_bits == 32 else "it sleeps in 32 bits only"

    def build(self, network: Network, folder: Path) -> Path:
        if network.key != canary_network().key:
            self.built.append(network.key)
        if self.log:
            with self.log.open("a") as log:
                log.write(f"{network.key}\n")
        path = folder / "artefact"
        path.write_text("crash" if network.key in self.broken else f"sleep {len(network.layers) * 1e-5}")
        return path

    def meter(self, protocol: Protocol) -> AbstractContextManager[Meter]:
        return worker_meter(self.name, "fake_runner", self.fingerprint(), protocol)


@pytest.fixture(autouse=True)
def runner_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "measuring"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    with Store(tmp_path / "store.sqlite") as opened:
        yield opened


def sample(n: int, bits: int = 32) -> Candidates:
    space = get_space("demo")
    return Candidates.of_genomes(space, space.sample_genomes(n, np.random.default_rng(0)), bits, bits)


def keys(candidates: Candidates) -> list[str]:
    return [Network(candidates.layers(row), {}).key for row in range(len(candidates))]


def test_measurements_come_in_the_order_of_the_candidates_and_are_stored(store: Store) -> None:
    candidates, device = sample(7), Sleeper()
    found = profile(device, candidates, store, FAST)
    assert [one.subject for one in found] == keys(candidates)
    assert len(store.of_device(device.fingerprint().digest)) == 7


def test_what_is_known_is_not_measured_again_unless_asked_for(store: Store) -> None:
    candidates = sample(4)
    first = profile(Sleeper(), candidates[:2], store, FAST)
    device = Sleeper()
    second = profile(device, candidates, store, FAST)
    assert device.built == keys(candidates)[2:]
    # A device that turns out faster than it was known to be rescales what is known.
    assert [(one.samples_ms, one.time) for one in second[:2]] == [(one.samples_ms, one.time) for one in first]
    again = profile(device, candidates[:1], store, FAST, again=True)
    assert again[0].samples_ms != first[0].samples_ms
    assert len(store.of_device(device.fingerprint().digest)) == 5


def test_candidates_that_run_alike_are_measured_once(store: Store) -> None:
    device, candidates = Sleeper(), sample(2)
    found = profile(device, candidates[[0, 1, 0, 0]], store, FAST)
    assert device.built == keys(candidates)
    assert found[0] is found[2]


def test_a_layer_that_the_device_refuses_is_an_error_before_anything_is_measured(store: Store) -> None:
    device = Sleeper()
    with pytest.raises(InputError, match="'sleeper' cannot run layer stem: it sleeps in 32 bits only"):
        profile(device, sample(3, bits=8), store, FAST)
    assert device.built == []


def test_a_subject_that_breaks_the_worker_is_named_and_the_others_are_stored(store: Store) -> None:
    candidates = sample(5)
    names = keys(candidates)
    with pytest.raises(MeasurementError, match=rf"failed on 1 of its subjects: {names[1][:10]}: .*status 7"):
        profile(Sleeper(broken=[names[1]]), candidates, store, FAST)
    stored: list[Measurement] = store.of_device(Sleeper().fingerprint().digest)
    assert {one.subject for one in stored} == {*names} - {names[1]}


def test_groups_of_large_artefacts_are_small() -> None:
    networks = [Network(layers, {}) for layers in map(sample(5).layers, range(5))]
    sizes: list[int] = []
    narrow = replace(FAST, group_bytes=1)
    found = Sleeper().measure(networks, narrow, lambda result: sizes.append(len(result.measurements)))
    assert [one.subject for one in found] == [network.key for network in networks]
    assert sizes == [1] * 5


def test_files_are_grouped_by_their_size_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups: list[int] = []
    measured = _WorkerMeter.measure

    def counted(
        meter: _WorkerMeter, artefacts: Mapping[str, Path], canary: Canary | None = None
    ) -> GroupResult:
        groups.append(len(artefacts))
        return measured(meter, artefacts, canary)

    monkeypatch.setattr(_WorkerMeter, "measure", counted)
    artefacts = {f"network {n}": tmp_path / str(n) for n in range(5)}
    for path in artefacts.values():
        path.write_text("sleep 0.0001")
    found = Sleeper().measure_artefacts(artefacts, replace(FAST, group_bytes=13))
    assert [one.subject for one in found] == list(artefacts)
    assert groups == [2, 2, 1]


def test_a_spent_budget_ends_before_the_next_group(store: Store) -> None:
    device, candidates = Sleeper(), sample(9)
    found = profile(device, candidates, store, FAST, budget_s=1e-9)
    assert found == []
    profile(device, candidates[:4], store, FAST)
    assert len(profile(device, candidates, store, FAST, budget_s=1e-9)) == 4


def test_no_candidates_is_no_work(store: Store) -> None:
    assert profile(Sleeper(), sample(3)[:0], store, FAST) == []


class Uneasy(Meter):
    """Gives each subject the verdicts and medians of a list, one a visit."""

    def __init__(self, visits: Sequence[tuple[Verdict, float]], parallel: int = 1) -> None:
        self.visits = visits
        self.parallel = parallel
        self.calls: list[tuple[list[str], float | None]] = []

    def measure(self, artefacts: Mapping[str, Path], canary: Canary | None = None) -> GroupResult:
        reference_ms = canary.reference_ms if canary else None
        self.calls.append((list(artefacts), reference_ms))
        return GroupResult(tuple(self._one(subject, reference_ms or 0.5) for subject in artefacts))

    def _one(self, subject: str, reference_ms: float) -> Measurement:
        visit = sum(subject in subjects for subjects, _ in self.calls) - 1
        verdict, latency_ms = self.visits[min(visit, len(self.visits) - 1)]
        return Measurement(
            subject=subject,
            device="sleeper",
            fingerprint=Sleeper().fingerprint().digest,
            kind="measured",
            latency_ms=latency_ms,
            p95_ms=latency_ms,
            ci_low_ms=0.9 * latency_ms,
            ci_high_ms=1.1 * latency_ms,
            samples_ms=(latency_ms,),
            verdict=verdict,
            canary_reference_ms=reference_ms,
            time="2026-01-01T00:00:00+00:00",
        )


class Scripted(Sleeper):
    """A sleeper with a meter of the test's own, and something to say of its artefacts."""

    def __init__(self, meter: Uneasy) -> None:
        super().__init__()
        self.scripted = meter

    def meter(self, protocol: Protocol) -> AbstractContextManager[Meter]:
        return nullcontext(self.scripted)

    def remarks(self, artefact: Path) -> Remarks:
        assert artefact.exists()
        return Remarks({"tuned_flops_percent": 50.0}, ("half of it is not tuned",))


def test_unstable_measurements_are_taken_again_at_the_end_and_the_steadier_is_kept(store: Store) -> None:
    meter = Uneasy([("unstable", 3.0), ("stable", 2.0)])
    device, candidates = Scripted(meter), sample(4)
    found = profile(device, candidates, store, replace(FAST, visits=3))
    assert [one.latency_ms for one in found] == [2.0] * 4
    assert [len(subjects) for subjects, _ in meter.calls] == [3, 1, 3, 1]
    stored = store.known(device.fingerprint().digest, keys(candidates))
    assert {one.verdict for one in stored.values()} == {"stable"}


def test_the_canarys_first_time_is_the_reference_of_all_later_runs(store: Store) -> None:
    meter = Uneasy([("stable", 2.0)])
    profile(Scripted(meter), sample(7), store, FAST)
    profile(Scripted(meter), sample(9), store, FAST)
    assert [reference for _, reference in meter.calls] == [None, 0.5, 0.5, 0.5]
    device = Sleeper()
    canary = device.canary()
    assert canary is not None
    assert store.canary_reference_ms(device.fingerprint().digest, canary.key) == 0.5
    assert canary_reference_ms(device, store) == 0.5


def test_times_are_told_at_the_fastest_speed_a_device_has_shown(store: Store) -> None:
    device, candidates = Scripted(Uneasy([("stable", 2.0)])), sample(4)
    profile(device, candidates, store, FAST)
    canary = device.canary()
    assert canary is not None
    store.keep_canary(device.fingerprint().digest, canary.key, 0.4)
    found = profile(device, candidates, store, FAST)
    assert len(device.scripted.calls) == 2
    assert [(one.latency_ms, one.canary_reference_ms) for one in found] == [(pytest.approx(1.6), 0.4)] * 4
    assert found[0].samples_ms == (2.0,)


def test_what_the_device_remarks_stands_in_the_measurement_and_leaves_its_verdict(store: Store) -> None:
    (one,) = profile(Scripted(Uneasy([("stable", 2.0)])), sample(1), store, FAST)
    assert one.conditions["tuned_flops_percent"] == 50.0
    assert (one.verdict, one.reasons) == ("stable", ("half of it is not tuned",))


def test_a_meter_of_several_machines_gets_as_many_groups_at_once() -> None:
    together = threading.Barrier(2, timeout=20.0)

    class Two(Uneasy):
        def measure(self, artefacts: Mapping[str, Path], canary: Canary | None = None) -> GroupResult:
            together.wait()
            return super().measure(artefacts, canary)

    meter = Two([("stable", 2.0)], parallel=2)
    networks = [Network(layers, {}) for layers in map(sample(12).layers, range(12))]
    heard: list[str] = []

    def on_group(result: GroupResult) -> None:
        assert threading.current_thread() is threading.main_thread()
        heard.extend(one.subject for one in result.measurements)

    found = Scripted(meter).measure(networks, FAST, on_group, canary_reference_ms=0.5)
    assert [one.subject for one in found] == [network.key for network in networks]
    assert sorted(heard) == sorted(network.key for network in networks)
    assert len(meter.calls) == 4


def test_with_several_machines_the_first_group_gives_the_reference_to_the_others() -> None:
    meter = Uneasy([("stable", 2.0)], parallel=2)
    networks = [Network(layers, {}) for layers in map(sample(9).layers, range(9))]
    Scripted(meter).measure(networks, FAST)
    assert [reference for _, reference in meter.calls] == [None, 0.5, 0.5]


_PROFILER = """
import sys
from pathlib import Path
from hwnas.profilers import Store, profile
from test_profile import FAST, Sleeper, sample
with Store(Path(sys.argv[1])) as store:
    print("open", flush=True)
    profile(Sleeper(log=Path(sys.argv[2])), sample(12), store, FAST)
"""


def test_kills_at_random_moments_tear_nothing_and_repeat_nothing_that_was_stored(tmp_path: Path) -> None:
    path, log = tmp_path / "store.sqlite", tmp_path / "log"
    log.touch()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parent)])}
    draw = random.Random(0)
    stored: set[str] = set()
    for attempt in range(6):
        log.write_text("")
        process = subprocess.Popen(
            [sys.executable, "-c", _PROFILER, str(path), str(log)], stdout=subprocess.PIPE, env=environment
        )
        assert process.stdout
        process.stdout.readline()
        if attempt < 5:
            time.sleep(draw.uniform(0.0, 1.2))
            process.kill()
        process.wait()
        process.stdout.close()
        assert not stored & set(log.read_text().split())
        with Store(path) as store:
            rows = store.of_device(Sleeper().fingerprint().digest)
        assert len({row.subject for row in rows}) == len(rows)
        assert {row.subject for row in rows} >= stored
        assert len(rows) % FAST.group_size == 0
        stored = {row.subject for row in rows}
    assert process.returncode == 0
    assert stored == set(keys(sample(12)))
