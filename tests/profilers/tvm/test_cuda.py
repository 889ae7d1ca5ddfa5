"""The device `cuda`, as far as a machine without a GPU goes: kernels, files and reasons."""

import importlib.util
import shutil
from pathlib import Path

import pytest

from hwnas.errors import UnavailableError
from hwnas.profilers.machine.gpu import Gpu, gpu
from hwnas.profilers.tvm import cuda
from hwnas.profilers.tvm.cuda import CudaTvm, cuda_compiler, scheduled_for_gpu
from hwnas.profilers.tvm.kernels.packs import Pack, tvm_version
from hwnas.profilers.tvm.kernels.plan import SpaceKernels, kernels_of
from hwnas.profilers.tvm.target import Target
from hwnas.spaces import get_space, random_network

DEMO = get_space("demo")
A100 = Target(kind="cuda", mcpu="sm_80")
CARD = Gpu("NVIDIA A100", "580.1", "sm_80")


@pytest.fixture(scope="module")
def smallest_kernels() -> SpaceKernels:
    layers = DEMO.layers(DEMO.smallest())
    return kernels_of(list(dict.fromkeys((layer, index == 0) for index, layer in enumerate(layers))))


def test_no_gpu_is_said() -> None:
    if gpu():
        pytest.skip("there is a GPU here")
    assert "NVIDIA" in str(CudaTvm(DEMO).unavailable())
    with pytest.raises(UnavailableError, match="not usable here: it needs an NVIDIA GPU"):
        CudaTvm(DEMO).fingerprint()


def test_no_compiler_of_kernels_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "gpu", lambda: CARD)
    monkeypatch.setattr(cuda, "cuda_compiler", lambda: None)
    assert "pip install cuda-python" in str(CudaTvm(DEMO).unavailable())


def test_a_gpu_without_cudas_runtime_library_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    if gpu():
        pytest.skip("there is a GPU here")
    monkeypatch.setattr(cuda, "gpu", lambda: CARD)
    monkeypatch.setattr(cuda, "cuda_compiler", lambda: "nvcc")
    device = CudaTvm(DEMO)
    assert "libcudart.so.13" in str(device.unavailable())
    assert device.pack.id.startswith("demo.cuda-sm_80")


def test_what_compiles_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert cuda_compiler() is None
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert cuda_compiler() == "nvcc"


def test_a_network_becomes_a_library_with_its_kernels(
    smallest_kernels: SpaceKernels, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without a GPU the library carries CUDA C."""
    monkeypatch.setattr(cuda, "kernels_of", lambda layers: smallest_kernels)
    device = CudaTvm(DEMO, target=A100)
    path = device.build(random_network(DEMO.layers(DEMO.smallest())), tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.onnx", "model.so"]
    if not gpu():
        data = path.read_bytes()
        assert all(key.encode() in data for key in smallest_kernels.functions)
        assert b"__global__" in data
    (reason,) = device.remarks(path).reasons
    assert "no schedules are tuned" in reason


def test_nvcc_compiles_every_kernel(smallest_kernels: SpaceKernels) -> None:
    if not shutil.which("nvcc"):
        pytest.skip("no nvcc")
    import tvm
    from tvm.support import nvcc

    pack = Pack(DEMO.key, A100, str(tvm_version()), A100.name, "", {})
    module = scheduled_for_gpu(smallest_kernels.functions, pack)
    source = tvm.compile(module, A100.to_tvm()).mod.imports[0].inspect_source()
    assert source.count("__global__") >= len(smallest_kernels.functions)
    with A100.to_tvm():
        made = nvcc.compile_cuda(source, target_format="cubin", arch="sm_80", compiler="nvcc")
    assert bytes(made)[:4] == b"\x7fELF"
