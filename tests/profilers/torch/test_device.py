from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from hwnas.errors import InputError, UnavailableError
from hwnas.profilers.machine import placement
from hwnas.profilers.machine.gpu import NO_GPU, Gpu
from hwnas.profilers.machine.placement import Placement
from hwnas.profilers.onnx.model import onnx_model
from hwnas.profilers.ort.runner import open_session
from hwnas.profilers.torch import device as torch_device
from hwnas.profilers.torch.device import TorchDevice
from hwnas.profilers.torch.graph import torch_module
from hwnas.profilers.torch.runner import TorchRunner, load, random_input
from hwnas.spaces import Candidates, Layer, Network, get_space, operations, random_network
from tests.chains import residual_chain

SPACE = get_space("demo")
GPU = Gpu("NVIDIA A100", "550.1", "sm_80")
SETTINGS = {"threads": 1, "provider": "cpu", "batch": 1, "compile": False}


def written(network: Network, folder: Path) -> Path:
    path = folder / "model.onnx"
    onnx.save(onnx_model(network), path)
    return path


def networks() -> list[Network]:
    some = SPACE.sample(3, np.random.default_rng(0))
    candidates = Candidates.of_architectures(SPACE, [SPACE.smallest(), SPACE.largest(), *some], 32)
    chains = [candidates.layers(row) for row in range(len(candidates))]
    chains += [residual_chain(33, activation=activation) for activation in ("relu", "relu6", "h_swish")]
    return [random_network(layers) for layers in chains]


@pytest.mark.parametrize("network", networks())
def test_it_computes_what_onnx_runtime_computes(network: Network, tmp_path: Path) -> None:
    path = written(network, tmp_path)
    x = random_input(path, 2)
    (expected,) = open_session(path, 1).run(None, {"input": x.contiguous().numpy()})
    before = x.clone()
    with torch.inference_mode():
        found = torch_module(path)(x).numpy()
    assert np.abs(found - expected).max() < 1e-4 * max(1, np.abs(expected).max())
    assert torch.equal(x, before)


# torch.compile uses what torch has deprecated, and takes half a minute on two busy cores.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_is_compiled_computes_the_same_and_leaves_nothing_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = TorchDevice("compiled", Placement(), compiled=True).unavailable()
    if reason:
        pytest.skip(reason)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "elsewhere")
    monkeypatch.setenv("TORCHINDUCTOR_COMPILE_THREADS", "2")
    path = written(small_network(), tmp_path)
    runner = load(path, {**SETTINGS, "compile": True, "cache": str(tmp_path / "cache")})
    assert isinstance(runner, TorchRunner)
    assert any((tmp_path / "cache").iterdir())
    x = random_input(path, 1)
    with torch.inference_mode():
        assert torch.allclose(runner.program(x), torch_module(path)(x), atol=1e-5)
    assert runner.time_ms(2) > 0
    assert runner.breakdown(2) is None


def small_network() -> Network:
    stem = Layer("conv", 3, 8, 16, 3, 2, activation="h_swish", name="stem")
    pool, classifier = Layer("pool", 8, 8, 8, 8, name="pool"), Layer("linear", 8, 10, 1, name="classifier")
    return random_network((stem, pool, classifier))


def test_the_breakdown_names_every_operation(tmp_path: Path) -> None:
    network = networks()[0]
    runner = load(written(network, tmp_path), SETTINGS)
    runner.run()
    found = runner.breakdown(3)
    assert found
    names = {f"{layer.name}.{op.name}" for layer, op, _ in operations(network.layers)}
    assert names <= set(found) | {"classifier.linear"}
    assert all(spent > 0 for spent in found.values())


def test_a_batch_runs_together(tmp_path: Path) -> None:
    assert tuple(random_input(written(networks()[0], tmp_path), 4).shape) == (4, 3, 32, 32)


def test_quantized_networks_are_refused(tmp_path: Path) -> None:
    quantized = random_network(Candidates.of_architectures(SPACE, [SPACE.smallest()], 8).layers(0))
    with pytest.raises(InputError, match=r"'cpu-torch' cannot run layer .*: bits must be 32"):
        TorchDevice("cpu-torch", Placement()).build(quantized, tmp_path)
    with pytest.raises(InputError, match="must be of a floating-point network, but is QuantizeLinear"):
        torch_module(written(quantized, tmp_path))


def test_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = TorchDevice("compiled", Placement(), compiled=True)
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert "apt install g++; or set CXX" in str(compiled.unavailable())
    monkeypatch.setattr(torch_device, "find_spec", lambda name: None)
    assert "pip install torch" in str(compiled.unavailable())


def test_on_a_gpu_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    device = TorchDevice("cuda-torch", Placement(provider="cuda"))
    monkeypatch.setattr(placement, "gpu", lambda: None)
    assert device.unavailable() == NO_GPU
    with pytest.raises(UnavailableError, match="'cuda-torch' is not usable here: it needs an NVIDIA GPU"):
        device.fingerprint()
    monkeypatch.setattr(placement, "gpu", lambda: GPU)
    monkeypatch.setattr(torch.version, "cuda", None)
    assert "is a build without CUDA" in str(device.unavailable())
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "install a newer driver" in str(device.unavailable())


def test_on_a_gpu_its_facts_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "gpu", lambda: GPU)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    device = TorchDevice("cuda-torch", Placement(provider="cuda"))
    facts = device.fingerprint().facts
    assert (facts["gpu"], facts["gpu_arch"], facts["driver_version"]) == ("NVIDIA A100", "sm_80", "550.1")
    assert device.energy_meters[0] == "nvml"


class FakeEvent:
    """A CUDA event whose clock counts the calls of `record`."""

    recorded = 0

    def __init__(self, enable_timing: bool) -> None:
        assert enable_timing

    def record(self) -> None:
        FakeEvent.recorded += 1
        self.at = FakeEvent.recorded

    def synchronize(self) -> None:
        self.done = True

    def elapsed_time(self, other: "FakeEvent") -> float:
        assert other.done
        return 10.0 * (other.at - self.at)


def test_on_a_gpu_time_is_that_of_its_events(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[None] = []
    monkeypatch.setattr(torch.cuda, "Event", FakeEvent)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: waits.append(None))
    calls: list[torch.Tensor] = []
    runner = TorchRunner(torch.nn.Identity(), lambda x: calls.append(x) or x, torch.zeros(1), True)  # type: ignore
    runner.run()
    assert (len(calls), len(waits)) == (1, 1)
    assert runner.time_ms(5) == 2.0
    assert len(calls) == 6
