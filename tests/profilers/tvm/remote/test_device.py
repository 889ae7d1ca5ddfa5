"""Devices behind an RPC tracker, here on loopback: a tracker and two servers."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hwnas.errors import InputError, MeasurementError, UnavailableError
from hwnas.profilers.measuring.meter import GroupResult
from hwnas.profilers.measuring.protocol import Protocol
from hwnas.profilers.store import Store
from hwnas.profilers.tvm.compiled.cross import Archiver, machine_of
from hwnas.profilers.tvm.device import TvmDevice
from hwnas.profilers.tvm.remote.device import RemoteTvm, remote_device
from hwnas.profilers.tvm.remote.machine import RemoteMachine
from hwnas.profilers.tvm.remote.tracker import Address, lend, parse_address, servers
from hwnas.profilers.tvm.target import Target
from hwnas.spaces import Candidates, Network, get_space, random_network
from tests.profilers.tvm.remote.rpc_farm import Farm, free_port

DEMO = get_space("demo")
FAST = Protocol(group_size=4, samples_least=5, samples_most=5, warmup_ms=5.0, subject_ms=50.0)


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """Two servers; a test that ends one starts another."""
    pytest.importorskip("tornado")
    started = Farm(tmp_path_factory.mktemp("farm"))
    try:
        for _ in range(2):
            started.add()
        started.wait_for(2)
        yield started
    finally:
        started.stop()


@pytest.fixture
def board(farm: Farm, demo_device: TvmDevice) -> RemoteTvm:
    """The two servers as one device, with the kernels that `cpu` has compiled."""
    return remote_device(str(farm.address), DEMO, target=demo_device.pack.target)


def networks(count: int) -> list[Network]:
    candidates = Candidates.of_genomes(DEMO, DEMO.sample_genomes(count, np.random.default_rng(0)))
    return [random_network(candidates.layers(row)) for row in range(count)]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("rpc:pi.local:9190/rasp4", ("pi.local", 9190, "rasp4")),
        ("127.0.0.1:1/a.b", ("127.0.0.1", 1, "a.b")),
        ("rpc:[::1]:9190/x", ("::1", 9190, "x")),
    ],
)
def test_an_address_has_three_parts(text: str, parts: tuple[str, int, str]) -> None:
    address = parse_address(text)
    assert (address.host, address.port, address.key) == parts
    assert str(address) == text.removeprefix("rpc:")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rpc:host/key", "must be rpc:HOST:PORT/KEY"),
        ("rpc:host:9190", "must be rpc:HOST:PORT/KEY"),
        ("rpc::9190/key", "must be rpc:HOST:PORT/KEY"),
        ("rpc:::1:9190/key", "must be rpc:HOST:PORT/KEY"),
        ("rpc:host:9190/", "must be rpc:HOST:PORT/KEY"),
        ("rpc:host:port/key", "must be a number from 1 to 65535, but got 'port'"),
        ("rpc:host:70000/key", "must be a number from 1 to 65535, but got '70000'"),
        ("rpc:host:9190/a/b", "no blank, ':' or '/', but got 'a/b'"),
    ],
)
def test_a_bad_address_is_said_in_one_line(text: str, says: str) -> None:
    with pytest.raises(InputError, match=r".*") as caught:
        remote_device(text, DEMO)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_tracker_says_how_to_start_one_and_that_it_has_no_lock() -> None:
    port = free_port()
    reason = str(remote_device(f"127.0.0.1:{port}/board", DEMO).unavailable())
    assert f"python -m tvm.exec.rpc_tracker --host 127.0.0.1 --port {port}" in reason
    assert f"python -m tvm.exec.rpc_server --host 127.0.0.1 --tracker 127.0.0.1:{port} --key board" in reason
    assert "no password" in reason
    assert "\n" not in reason


def test_servers_are_asked_for_by_key(farm: Farm) -> None:
    assert servers(farm.address) == sorted(farm.servers)
    other = Address(farm.address.host, farm.address.port, "jetson")
    with pytest.raises(UnavailableError, match=r"no server with key 'jetson' \(it has: board\)"):
        servers(other)
    with pytest.raises(UnavailableError, match="came free within 1 s"):
        lend(other, wait_s=1, session_s=10)
    server = next(iter(farm.servers))
    wrong = Address("127.0.0.1", int(server.rpartition(":")[2]), "board")
    with pytest.raises(UnavailableError, match="is no RPC tracker"):
        servers(wrong)


def test_a_server_says_what_it_is(farm: Farm) -> None:
    device = remote_device(str(farm.address), DEMO)
    here = TvmDevice(DEMO)
    assert device.unavailable() is None
    assert device.machine is not None
    assert device.machine.machine == "x86_64"
    if here.unavailable() is None:
        assert device.target.mcpu == here.pack.target.mcpu
    facts = device.fingerprint().facts
    assert facts["key"] == "board"
    assert facts["cpu"] == device.machine.cpu
    assert str(farm.address.port) not in str(facts)


def test_what_a_machine_may_be_compiled_for() -> None:
    assert RemoteMachine("cortex-a72", "aarch64-unknown-linux-gnu").targets(4) == [
        Target(mcpu="cortex-a72", triple="aarch64-linux-gnu", threads=4)
    ]
    assert [one.mcpu for one in RemoteMachine("haswell", "x86_64-linux-gnu").targets(1)] == [
        "x86-64-v3",
        "x86-64-v2",
    ]


def test_servers_that_cannot_say_what_they_are_need_a_device_file(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hwnas.profilers.tvm.remote.device.ask", lambda address: None)
    reason = str(remote_device(str(farm.address), DEMO).unavailable())
    assert "in a device file" in reason
    assert "triple: aarch64-linux-gnu" in reason
    given = remote_device(
        str(farm.address), DEMO, target=Target(mcpu="cortex-a72", triple="aarch64-linux-gnu")
    )
    assert given.unavailable() is None
    assert given.pack.target.mcpu == "cortex-a72"


def test_a_server_killed_in_mid_run_costs_no_measurement(
    farm: Farm, board: RemoteTvm, demo_device: TvmDevice, tmp_path: Path
) -> None:
    subjects = networks(20)
    groups: list[GroupResult] = []
    lost = threading.Event()

    def on_group(result: GroupResult) -> None:
        store.add(result.measurements, board.fingerprint())
        groups.append(result)
        if len(groups) == 2:
            threading.Thread(target=kill_the_other).start()

    def kill_the_other() -> None:
        time.sleep(0.3)
        farm.kill(sorted(farm.servers)[0])
        lost.set()

    with Store(tmp_path / "store.sqlite") as store:
        found = board.measure(subjects, FAST, on_group)
        known = store.known(board.fingerprint().digest, [one.key for one in subjects])
    assert lost.wait(5)
    assert [one.subject for one in found] == [one.key for one in subjects]
    assert known.keys() == {one.key for one in subjects}
    stored = [one.subject for group in groups for one in group.measurements]
    assert sorted(stored) == sorted({one.key for one in subjects})
    local = demo_device.measure(subjects[:2], FAST)
    for here, there in zip(local, found[:2], strict=True):
        assert 0.2 < there.latency_ms / here.latency_ms < 5
    farm.add()
    farm.wait_for(2)


def test_both_servers_work(board: RemoteTvm, farm: Farm) -> None:
    found = board.measure(networks(12), FAST)
    assert {one.conditions["server"] for one in found} == set(farm.servers)


def test_a_server_links_what_could_not_be_linked_here(
    board: RemoteTvm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        "hwnas.profilers.tvm.remote.device.artefact_format",
        lambda triple: (".tar", Archiver(f"{machine_of(triple)}-linux-gnu")),
    )
    (network,) = networks(1)
    path = board.build(network, tmp_path)
    assert path.name == "model.tar"
    (found,) = board.measure_artefacts({"a": path}, FAST)
    assert 0.01 < found.latency_ms < 50


def test_a_run_that_is_stopped_leaves_its_servers_in_order(
    farm: Farm, board: RemoteTvm, tmp_path: Path
) -> None:
    (network,) = networks(1)
    path = board.build(network, tmp_path)
    endless = replace(FAST, samples_least=10**6, samples_most=10**6, subject_ms=1e6)
    with ThreadPoolExecutor() as pool, board.meter(endless) as meter:
        before = len(farm.loads())
        calls = [pool.submit(meter.measure, {"a": path, "b": path}) for _ in farm.servers]
        end = time.monotonic() + 60
        while len(farm.loads()) < before + 2 * len(calls) and time.monotonic() < end:
            time.sleep(0.1)
        time.sleep(0.5)
    for call in calls:
        with pytest.raises(MeasurementError, match="stopped"):
            call.result()
    lent = [lend(farm.address, wait_s=60, session_s=20) for _ in farm.servers]
    assert {one.server for one in lent} == set(farm.servers)


def test_all_servers_gone_is_one_line_and_what_was_measured_is_kept(farm: Farm, board: RemoteTvm) -> None:
    groups: list[GroupResult] = []

    def on_group(result: GroupResult) -> None:
        groups.append(result)
        for server in list(farm.servers):
            farm.kill(server)

    board.wait_s = 2.0
    with pytest.raises(MeasurementError, match=r"no server of rpc:.* came free within") as caught:
        board.measure(networks(12), FAST, on_group)
    assert "\n" not in str(caught.value)
    assert len(groups[0].measurements) == 4
