import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hwnas.errors import InputError, UnavailableError
from hwnas.profilers.protocol import Protocol
from hwnas.profilers.registry import get_device
from hwnas.profilers.tvm.device import TvmDevice
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


def test_quantized_layers_are_refused(demo_device: TvmDevice) -> None:
    layer = DEMO.vocabulary[0]
    assert demo_device.refusal(layer) is None
    assert "32" in str(demo_device.refusal(replace(layer, weight_bits=8, activation_bits=8)))


def test_layers_of_other_spaces_are_refused(demo_device: TvmDevice, tmp_path: Path) -> None:
    other = get_space("ofa-mobilenetv3-w1.0")
    with pytest.raises(InputError, match="not of space 'demo'"):
        demo_device.build(random_network(other.layers(other.smallest())), tmp_path)


def test_a_space_without_schedules_says_how_to_make_them(home: Path) -> None:
    device = TvmDevice(get_space("ofa-mobilenetv3-w1.0"))
    reason = device.unavailable()
    assert reason is not None
    assert "hwnas profile --device cpu --space ofa-mobilenetv3-w1.0 --tune-budget 10min" in reason
    with pytest.raises(UnavailableError, match="not usable here"):
        device.fingerprint()


def test_no_compiler_is_said(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.delenv("CC", raising=False)
    assert "C compiler" in str(TvmDevice(DEMO).unavailable())


def test_asking_what_is_usable_imports_neither_tvm_nor_torch() -> None:
    code = (
        "import sys; from hwnas.profilers.registry import get_device;"
        "get_device('cpu').unavailable(); print({'tvm', 'torch'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
