"""Simulated devices: the DPU of a board, and any block table."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hwnas.errors import InputError
from hwnas.profilers import get_device
from hwnas.profilers.device import Device
from hwnas.profilers.measuring.protocol import Protocol
from hwnas.profilers.simulated import SimulatedDevice, table_device
from hwnas.profilers.tables.file import write_table
from hwnas.spaces import Candidates, Network, Space, get_space, random_network


@pytest.fixture(scope="module")
def space() -> Space:
    return get_space("demo")


@pytest.fixture(scope="module")
def candidates(space: Space) -> Candidates:
    return Candidates.of_genomes(space, space.sample_genomes(6, np.random.default_rng(1)), 8, 8)


@pytest.fixture(scope="module")
def device() -> SimulatedDevice:
    found = get_device("fpga-zcu102-dpu")
    assert isinstance(found, SimulatedDevice)
    return found


def networks(candidates: Candidates) -> list[Network]:
    return [random_network(candidates.layers(row)) for row in range(len(candidates))]


def test_the_device_says_what_it_is(device: Device) -> None:
    assert device.name == "fpga-zcu102-dpu"
    assert device.kind == "simulated"
    assert device.bits == (8,)
    assert (device.threads, device.batch) == (1, 1)
    assert device.unavailable() is None
    assert "281 MHz" in device.runtime


@pytest.mark.parametrize("name", ["demo", "ofa-mobilenetv3-w1.0"])
def test_every_layer_of_our_spaces_runs_on_the_dpu(device: SimulatedDevice, name: str) -> None:
    space = get_space(name)
    assert device.table(space).missing(Candidates.of_architectures(space, space.covering(), bits=8)) == []
    assert all(cost.source and cost.energy_mj for cost in device.table(space).rows.values())


def test_a_measurement_is_the_sum_of_the_table(
    device: SimulatedDevice, space: Space, candidates: Candidates
) -> None:
    measured = device.measure(networks(candidates), Protocol())
    table = device.table(space)
    assert [m.latency_ms for m in measured] == pytest.approx(list(table.latency_ms(candidates)))
    assert [m.energy_mj for m in measured] == pytest.approx(list(table.energy_mj(candidates)))


def test_a_measurement_is_marked_simulated_and_modelled(
    device: SimulatedDevice, candidates: Candidates
) -> None:
    (measured,) = device.measure(networks(candidates[[0]]), Protocol())
    assert measured.kind == "simulated"
    assert measured.energy_source == "modelled"
    assert measured.samples_ms == (measured.latency_ms,)
    assert measured.p95_ms == measured.ci_low_ms == measured.ci_high_ms == measured.latency_ms
    assert measured.fingerprint == device.fingerprint().digest
    assert measured.time.endswith("+00:00")


def test_the_artefact_lists_every_block_with_its_cost(
    device: SimulatedDevice, candidates: Candidates, tmp_path: Path
) -> None:
    network = networks(candidates)[0]
    listed = json.loads(device.build(network, tmp_path).read_text())
    assert [block["name"] for block in listed["blocks"]] == [layer.name for layer in network.layers]
    assert sum(block["latency_ms"] for block in listed["blocks"]) == pytest.approx(listed["latency_ms"])
    assert listed["kind"] == "simulated"


def test_floating_point_is_refused(device: SimulatedDevice, space: Space, tmp_path: Path) -> None:
    network = random_network(space.layers(space.smallest()))
    with pytest.raises(InputError, match="'fpga-zcu102-dpu' cannot run layer stem: it runs w8a8 bits only"):
        device.build(network, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_table_lacks_floating_point_and_says_so(device: SimulatedDevice, space: Space) -> None:
    with pytest.raises(InputError, match="lacks"):
        device.table(space).latency_ms(Candidates.of_architectures(space, [space.smallest()]))


def test_fingerprints_tell_models_apart_and_nothing_else(device: SimulatedDevice) -> None:
    assert device.fingerprint().digest == get_device("fpga-zcu102-dpu").fingerprint().digest
    assert device.fingerprint().digest != get_device("fpga-kv260-dpu").fingerprint().digest


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "must be one that hwnas wrote"),
        ('{"version": 1}', "blocks"),
        ('{"version": 9, "blocks": []}', "must be of version 1"),
        ('{"version": 1, "blocks": [{"speed": 1}]}', "must be one that hwnas wrote"),
        ('{"version": 1, "blocks": []}', "but is of another"),
    ],
)
def test_a_block_list_that_is_none_fails_alone(
    device: SimulatedDevice, candidates: Candidates, tmp_path: Path, content: str, message: str
) -> None:
    good, bad = networks(candidates)[:2]
    (tmp_path / "bad.json").write_text(content)
    with device.meter(Protocol()) as meter:
        result = meter.measure({good.key: device.build(good, tmp_path), bad.key: tmp_path / "bad.json"})
    assert [one.subject for one in result.measurements] == [good.key]
    assert [one.subject for one in result.failures] == [bad.key]
    assert message in result.failures[0].reason


class TestTableDevice:
    @pytest.fixture
    def path(self, device: SimulatedDevice, space: Space, tmp_path: Path) -> Path:
        write_table(tmp_path / "mine.csv", device.table(space))
        return tmp_path / "mine.csv"

    def test_a_written_table_gives_the_same_times(
        self, device: SimulatedDevice, space: Space, candidates: Candidates, path: Path
    ) -> None:
        mine = table_device(path)
        assert mine.name == f"table:{path}"
        assert mine.bits == (8,)
        expected = device.measure(networks(candidates), Protocol())
        measured = mine.measure(networks(candidates), Protocol())
        assert [m.latency_ms for m in measured] == pytest.approx([m.latency_ms for m in expected])
        assert {m.energy_source for m in measured} == {"imported"}
        assert mine.table(space).latency_ms(candidates) == pytest.approx([m.latency_ms for m in measured])

    def test_the_fingerprint_follows_the_figures(self, path: Path) -> None:
        before = table_device(path).fingerprint().digest
        lines = path.read_text().splitlines()
        cells = lines[-1].split(",")
        path.write_text("\n".join([*lines[:-1], ",".join([*cells[:11], "9.0", *cells[12:]])]))
        assert table_device(path).fingerprint().digest != before

    def test_a_block_that_the_table_lacks_is_refused(self, path: Path, candidates: Candidates) -> None:
        layer = replace(candidates.layers(0)[0], out_channels=17)
        assert "no row for conv 3->17" in str(table_device(path).refusal(layer))
