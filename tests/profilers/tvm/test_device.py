import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hwnas.errors import InputError, UnavailableError
from hwnas.profilers.measuring.protocol import Protocol
from hwnas.profilers.registry import get_device
from hwnas.profilers.tvm.device import TvmDevice
from hwnas.profilers.tvm.kernels.packs import write_pack
from hwnas.profilers.tvm.target import targets_here
from hwnas.spaces import Candidates, get_space, random_network

DEMO = get_space("demo")


def test_it_is_registered_as_cpu() -> None:
    device = get_device("cpu", DEMO)
    assert isinstance(device, TvmDevice)
    assert device.space is DEMO


def test_it_measures_what_it_builds(demo_device: TvmDevice, tmp_path: Path) -> None:
    candidates = Candidates.of_genomes(DEMO, DEMO.sample_genomes(2, np.random.default_rng(0)))
    networks = [random_network(candidates.layers(row)) for row in range(2)]
    path = demo_device.build(networks[0], tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.onnx", "model.so"]
    assert path == tmp_path / "model.so"
    protocol = Protocol(samples_least=5, samples_most=5, warmup_ms=5.0, subject_ms=50.0)
    found = demo_device.measure(networks, protocol)
    assert [one.subject for one in found] == [network.key for network in networks]
    assert all(0.01 < one.latency_ms < 50 for one in found)
    assert {one.conditions["pack"] for one in found} == {demo_device.pack.id}


def test_the_fingerprint_names_the_pack(demo_device: TvmDevice) -> None:
    facts = demo_device.fingerprint().facts
    assert facts["pack"] == demo_device.pack.id
    assert str(facts["runtime_version"]).startswith("tvm 0.")


def test_layers_have_32_bits_or_8_where_the_processor_can(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = DEMO.vocabulary[0]
    in_bytes = replace(layer, weight_bits=8, activation_bits=8)
    for can, threads in ((True, 1), (False, 1), (True, 2)):
        monkeypatch.setattr("hwnas.profilers.tvm.device.vnni_here", lambda can=can: can)
        device = TvmDevice(DEMO, threads=threads)
        assert device.refusal(layer) is None
        assert device.bits == ((32, 8) if can and threads == 1 else (32,))
        assert ("AVX512-VNNI" in str(device.refusal(in_bytes))) == (8 not in device.bits)
        assert "4" in str(device.refusal(replace(layer, weight_bits=4, activation_bits=4)))


def test_weights_and_activations_of_compiled_layers_have_the_same_bits(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hwnas.profilers.tvm.device.vnni_here", lambda: True)
    layer = replace(DEMO.vocabulary[0], weight_bits=8)
    assert "alike, but got 8 and 32" in str(TvmDevice(DEMO).refusal(layer))


def test_layers_of_other_spaces_are_refused(demo_device: TvmDevice, tmp_path: Path) -> None:
    other = get_space("ofa-mobilenetv3-w1.0")
    with pytest.raises(InputError, match="not of space 'demo'"):
        demo_device.build(random_network(other.layers(other.smallest())), tmp_path)


def test_a_space_without_a_pack_runs_by_rule(home: Path) -> None:
    device = TvmDevice(get_space("ofa-mobilenetv3-w1.0"))
    assert device.unavailable() is None
    assert device.pack.schedules == {}
    assert device.pack.target == targets_here()[0]


def test_a_processor_that_none_is_for_makes_it_unusable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hwnas.profilers.tvm.device.targets_here", lambda threads=1: [])
    device = TvmDevice(DEMO)
    assert "x86-64-v2" in str(device.unavailable())
    with pytest.raises(UnavailableError, match="not usable here"):
        device.fingerprint()


@pytest.mark.slow
def test_a_large_space_is_compiled_network_by_network(home: Path, tmp_path: Path) -> None:
    space = get_space("ofa-mobilenetv3-w1.0")
    device = TvmDevice(space)
    device.prepare()
    assert device.tuned_percent() is None
    path = device.build(random_network(space.layers(space.smallest())), tmp_path)
    remarks = device.remarks(path)
    assert remarks.reasons == ()
    assert remarks.conditions["tuned_flops_percent"] == 0
    assert remarks.conditions["ruled_flops_percent"] > 99


@pytest.mark.slow
def test_a_machine_without_a_c_compiler_measures(
    compiled_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HWNAS_HOME", str(compiled_home))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.delenv("CC", raising=False)
    device = TvmDevice(DEMO)
    network = random_network(DEMO.layers(DEMO.smallest()))
    protocol = Protocol(samples_least=5, samples_most=5, warmup_ms=5.0, subject_ms=50.0)
    (found,) = device.measure([network], protocol)
    assert 0.001 < found.latency_ms < 50
    assert device.build(network, tmp_path).name == "model.json"


@pytest.mark.parametrize(("kept", "doubts"), [(1.0, 0), (0.0, 1)])
def test_what_is_not_tuned_is_said(kept: float, doubts: int, tmp_path: Path) -> None:
    if kept < 1:
        percent = {"tuned_flops_percent": 40.0, "tuned_time_percent": 20.0, "ruled_flops_percent": 30.0}
        (tmp_path / "coverage.json").write_text(json.dumps(percent))
    remarks = TvmDevice(DEMO).remarks(tmp_path / "model.so")
    assert len(remarks.reasons) == doubts
    assert (remarks.conditions["tuned_flops_percent"] == 100) == (kept == 1)


def test_a_pack_of_another_space_is_refused(tmp_path: Path) -> None:
    pack = TvmDevice(DEMO).pack
    path = write_pack(replace(pack, space="other"), tmp_path)
    assert "must be of space 'demo'" in str(TvmDevice(DEMO, schedules=path).unavailable())
    same = write_pack(pack, tmp_path)
    assert TvmDevice(DEMO, schedules=same).pack == pack


def test_asking_what_is_usable_imports_neither_tvm_nor_torch() -> None:
    code = (
        "import sys; from hwnas.profilers.registry import get_device;"
        "get_device('cpu').unavailable(); print({'tvm', 'torch'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
