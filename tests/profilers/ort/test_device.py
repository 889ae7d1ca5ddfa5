import os
import time
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from hwnas.errors import UnavailableError
from hwnas.profilers import Protocol, get_device
from hwnas.profilers.machine import placement
from hwnas.profilers.machine.gpu import NO_GPU, Gpu
from hwnas.profilers.machine.placement import Placement
from hwnas.profilers.ort import device as ort
from hwnas.profilers.ort.device import OnnxRuntimeDevice
from hwnas.profilers.ort.runner import load, open_session
from hwnas.spaces import Candidates, Layer, get_space, operations, random_network

SPACE = get_space("demo")
FLOAT = Candidates.of_architectures(SPACE, [SPACE.smallest()], 32).layers(0)
SETTINGS = {"threads": 1, "provider": "cpu", "batch": 1}
LAYERS = Candidates.of_architectures(SPACE, [SPACE.smallest()], 8).layers(0)


def test_without_onnx_runtime_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "find_spec", lambda name: None)
    assert "pip install onnxruntime" in str(OnnxRuntimeDevice().unavailable())
    with pytest.raises(UnavailableError, match=r"'cpu-ort' is not usable here.*pip install onnxruntime"):
        OnnxRuntimeDevice().fingerprint()


def test_weights_and_activations_must_have_the_same_bits() -> None:
    mixed = replace(LAYERS[0], weight_bits=8, activation_bits=32)
    assert (
        OnnxRuntimeDevice().refusal(mixed)
        == "weights and activations must have the same bits, but got 8 and 32"
    )
    four = replace(LAYERS[0], weight_bits=4, activation_bits=4)
    assert OnnxRuntimeDevice().refusal(four) == "bits must be 32 or 8, but got 4"


def test_the_artefact_is_a_quantized_onnx_file(tmp_path: Path) -> None:
    path = OnnxRuntimeDevice().build(random_network(LAYERS), tmp_path)
    assert path.name == "model.onnx"
    assert {"QuantizeLinear", "DequantizeLinear"} <= {node.op_type for node in onnx.load(path).graph.node}


def test_bits_can_be_fewer_than_it_runs() -> None:
    device = OnnxRuntimeDevice("mine", Placement(), (8,))
    assert [device.refusal(layer) for layer in LAYERS] == [None] * len(LAYERS)
    assert device.refusal(FLOAT[0]) == "bits must be 8, but got 32"


def test_the_breakdown_names_what_ran(tmp_path: Path) -> None:
    runner = load(OnnxRuntimeDevice().build(random_network(FLOAT), tmp_path), SETTINGS)
    runner.run()
    found = runner.breakdown(3)
    assert found
    ops = [f"{layer.name}.{op.name}" for layer, op, _ in operations(FLOAT)]
    weighted = [f"{layer.name}.{op.name}" for layer, op, _ in operations(FLOAT) if op.kind == "depthwise"]
    assert all(any(name.startswith(op) for name in found) for op in weighted)
    assert any(name.startswith(tuple(ops)) for name in found)
    assert 0 < sum(found.values()) < 1000
    assert list(tmp_path.iterdir()) == [tmp_path / "model.onnx"]


def test_a_batch_runs_together(tmp_path: Path) -> None:
    runner = load(OnnxRuntimeDevice().build(random_network(FLOAT), tmp_path), {**SETTINGS, "batch": 4})
    runner.run()
    assert runner._binding.get_outputs()[0].shape() == [4, 10]  # type: ignore[attr-defined]


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_two_threads_share_the_work_on_two_cores_and_then_rest(tmp_path: Path) -> None:
    layer = Layer("conv", 64, 128, 64, 3, activation="relu", name="conv")
    path = OnnxRuntimeDevice().build(random_network((layer,)), tmp_path)
    runner = load(path, {**SETTINGS, "threads": 2})
    for _ in range(3):
        runner.run()
    others_s = time.process_time() - time.thread_time()
    for _ in range(30):
        runner.run()
    assert time.process_time() - time.thread_time() > others_s + 0.005, "the other thread had nothing to do"
    time.sleep(0.05)
    before_s = time.process_time()
    time.sleep(0.2)
    assert time.process_time() - before_s < 0.02, "a thread spins after the run"


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_a_file_of_two_threads_pins_two_cores(tmp_path: Path) -> None:
    cores = sorted(os.sched_getaffinity(0))[:2]
    file = tmp_path / "two.yaml"
    file.write_text(f"name: two\nruntime: onnxruntime\nthreads: 2\ncores: {cores}\n")
    protocol = Protocol(samples_least=3, samples_most=3, warmup_ms=1.0)
    (taken,) = get_device(str(file), SPACE).measure([random_network(FLOAT)], protocol)
    assert taken.device == "two"
    assert taken.conditions["threads"] == 2
    assert taken.conditions["cores"] == cores


def test_on_a_gpu_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    device = OnnxRuntimeDevice("cuda-ort", Placement(provider="cuda"))
    assert device.bits == (32,)
    monkeypatch.setattr(placement, "gpu", lambda: None)
    assert device.unavailable() == NO_GPU
    monkeypatch.setattr(placement, "gpu", lambda: Gpu("NVIDIA A100", "550.1", "sm_80"))
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    assert "pip install onnxruntime-gpu" in str(device.unavailable())
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider"])
    assert device.fingerprint().facts["gpu_arch"] == "sm_80"


def test_it_never_goes_on_with_another_provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = OnnxRuntimeDevice().build(random_network(FLOAT), tmp_path)
    with pytest.raises(
        UnavailableError, match="must run on CUDAExecutionProvider, but it does not start here"
    ):
        open_session(path, 1, provider="cuda")
