import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from hwnas.errors import InputError
from hwnas.profilers.onnx.model import onnx_model
from hwnas.profilers.tvm.compiled.assemble import Call, call_names, calls_of, export, place_values
from hwnas.profilers.tvm.compiled.library import open_library
from hwnas.profilers.tvm.device import TvmDevice
from hwnas.profilers.tvm.kernels.packs import Pack, Schedule, tvm_version
from hwnas.profilers.tvm.kernels.plan import SpaceKernels, kernels_of
from hwnas.profilers.tvm.target import Target
from hwnas.spaces import Candidates, Layer, Network, get_space, random_network
from tests.chains import residual_chain

DEMO = get_space("demo")


def candidates(n: int, seed: int) -> Candidates:
    return Candidates.of_genomes(DEMO, DEMO.sample_genomes(n, np.random.default_rng(seed)))


def with_biases(layers: Sequence[Layer], seed: int) -> Network:
    network = random_network(layers, seed)
    rng = np.random.default_rng(seed)
    weights = {
        name: rng.standard_normal(array.shape).astype(np.float32) / 4 if name.endswith("bias") else array
        for name, array in network.weights.items()
    }
    return Network(network.layers, weights)


def compiled_and_reference(network: Network, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The logits of the library at `path` and those of ONNX Runtime, over the largest of the latter."""
    import tvm
    from tvm import relax

    machine = relax.VirtualMachine(tvm.runtime.load_module(str(path)), tvm.cpu())
    x = np.random.default_rng(1).standard_normal(network.input_shape).astype(np.float32)
    found = [machine["main"](tvm.runtime.tensor(x)).numpy() for _ in range(2)]
    np.testing.assert_array_equal(*found)
    session = onnxruntime.InferenceSession(onnx_model(network).SerializeToString())
    reference = session.run(None, {"input": x})[0]
    return found[0] / np.abs(reference).max(), reference / np.abs(reference).max()


@pytest.mark.parametrize("row", range(4))
def test_compiled_networks_compute_what_onnx_runtime_does(
    row: int, demo_device: TvmDevice, tmp_path: Path
) -> None:
    network = with_biases(candidates(4, seed=5).layers(row), seed=row)
    path = demo_device.build(network, tmp_path)
    np.testing.assert_allclose(*compiled_and_reference(network, path), atol=1e-4)


def compiled(network: Network, folder: Path) -> Path:
    """The library of a network, compiled without schedules, which only makes it slow."""
    keys = [(layer, index == 0) for index, layer in enumerate(network.layers)]
    unscheduled = {key: Schedule([[], []], 1.0, 1) for key in kernels_of(keys).functions}
    pack = Pack("tiny", Target(mcpu="x86-64-v2"), str(tvm_version()), "any", "2026-01-02", unscheduled)
    export(network, open_library(keys, pack, folder), folder / "tiny.so")
    return folder / "tiny.so"


def test_activations_of_the_large_spaces_are_right(tmp_path: Path) -> None:
    layers = (
        Layer("conv", 3, 8, 12, 3, 2, activation="h_swish", name="stem"),
        Layer("mbconv", 8, 8, 6, 3, mid_channels=8, activation="relu6", name="first"),
        Layer("mbconv", 8, 16, 6, 5, 2, mid_channels=32, se=True, activation="h_swish", name="a"),
        Layer("mbconv", 16, 16, 3, 3, mid_channels=64, se=True, activation="h_swish", name="b"),
        Layer("conv", 16, 24, 3, activation="h_swish", name="head"),
        Layer("pool", 24, 24, 3, kernel=3, norm=False, name="pool"),
        Layer("conv", 24, 40, 1, activation="h_swish", norm=False, name="feature"),
        Layer("linear", 40, 21, 1, norm=False, name="classifier"),
    )
    network = with_biases(layers, seed=3)
    found, reference = compiled_and_reference(network, compiled(network, tmp_path))
    assert found.shape == (1, 21)
    np.testing.assert_allclose(found, reference, atol=1e-5)


def test_branches_and_pools_are_right_at_an_odd_size(tmp_path: Path) -> None:
    network = with_biases(residual_chain(37), seed=3)
    np.testing.assert_allclose(*compiled_and_reference(network, compiled(network, tmp_path)), atol=1e-5)


@pytest.mark.parametrize("part", [slice(1, 2), slice(2, 4), slice(-2, None), slice(0, 1)])
def test_a_part_of_a_network_reads_and_makes_maps(
    part: slice, demo_device: TvmDevice, tmp_path: Path
) -> None:
    import tvm
    from tvm import relax

    network = with_biases(candidates(1, seed=9).layers(0)[part], seed=1)
    path = demo_device.build(network, tmp_path)
    machine = relax.VirtualMachine(tvm.runtime.load_module(str(path)), tvm.cpu())
    x = np.random.default_rng(1).standard_normal(network.input_shape).astype(np.float32)
    begins = network.layers[0].name == "stem"
    described = json.loads(str(machine["describe"]()))
    assert described["input"] == ("float32 NCHW" if begins else "float32 NHWC")
    inside = x if begins else np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    assert described["input_shape"] == list(inside.shape)
    found = machine["main"](tvm.runtime.tensor(inside)).numpy()
    session = onnxruntime.InferenceSession(onnx_model(network).SerializeToString())
    reference = session.run(None, {"input": x})[0]
    if reference.ndim == 4:
        reference = reference.transpose(0, 2, 3, 1)
    np.testing.assert_allclose(found, reference, atol=1e-4 * np.abs(reference).max())


def test_calls_are_named_after_the_operations_they_compute(demo_kernels: SpaceKernels) -> None:
    chosen = candidates(20, seed=2)
    for row in range(len(chosen)):
        layers = chosen.layers(row)
        names = call_names(layers, demo_kernels.plan)
        assert len(names) == len(calls_of(layers, demo_kernels.plan))
        weighted = {f"{layer.name}.{op.name}" for layer in layers for op in layer.ops if op.weights}
        assert weighted <= set(names) <= {f"{layer.name}.{op.name}" for layer in layers for op in layer.ops}


def test_values_alive_at_once_never_share_storage(demo_kernels: SpaceKernels) -> None:
    chosen = candidates(200, seed=2)
    for row in range(len(chosen)):
        calls = calls_of(chosen.layers(row), demo_kernels.plan)
        buffers, taken, sizes = place_values(calls)
        holder: dict[int, int] = {}
        for index, call in enumerate(calls):
            for kind, number in call.inputs:
                if kind == "value" and number:
                    buffer = buffers[taken[number - 1]]
                    assert holder[buffer.storage] == number
                    assert buffer.shape == calls[number - 1].out_shape
            if index < len(taken):
                buffer = buffers[taken[index]]
                assert 4 * np.prod(buffer.shape) <= sizes[buffer.storage]
                inputs = {buffers[taken[n - 1]].storage for k, n in call.inputs if k == "value" and n}
                assert buffer.storage not in inputs
                holder[buffer.storage] = index + 1
        assert len(sizes) <= 4


def test_a_residual_outlives_its_block() -> None:
    calls = [
        Call("a", (("value", 0),), (1, 2)),
        Call("b", (("value", 1),), (1, 2)),
        Call("c", (("value", 2),), (1, 2)),
        Call("add", (("value", 3), ("value", 1)), (1, 2)),
    ]
    buffers, taken, sizes = place_values(calls)
    assert [buffers[i].storage for i in taken] == [0, 1, 2]
    assert sizes == [8, 8, 8]


def test_a_layer_of_another_space_is_refused_by_name(demo_kernels: SpaceKernels) -> None:
    other = get_space("ofa-mobilenetv3-w1.0")
    with pytest.raises(InputError, match=r"layer stem .*3->16"):
        calls_of(other.layers(other.smallest()), demo_kernels.plan)


def test_libraries_describe_themselves(demo_device: TvmDevice, tmp_path: Path) -> None:
    import tvm
    from tvm import relax

    network = random_network(candidates(1, seed=9).layers(0))
    path = demo_device.build(network, tmp_path)
    machine = relax.VirtualMachine(tvm.runtime.load_module(str(path)), tvm.cpu())
    described = json.loads(str(machine["describe"]()))
    assert described == {
        "input": "float32 NCHW",
        "input_shape": list(network.input_shape),
        "calls": call_names(network.layers, demo_device._compiled([]).plan),
        "pack": demo_device.pack.id,
        "target": demo_device.pack.target.name,
    }
