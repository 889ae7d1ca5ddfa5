"""8-bit kernels against ONNX Runtime's run of the QDQ file, and against integers in numpy."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from hwnas.errors import InputError
from hwnas.profilers.onnx.model import onnx_model
from hwnas.profilers.onnx.quantizer import quantizers_of
from hwnas.profilers.tvm.compiled.assemble import call_names, calls_of, export, place_values
from hwnas.profilers.tvm.compiled.library import Library, open_library
from hwnas.profilers.tvm.kernels.crossing import links_of
from hwnas.profilers.tvm.kernels.int8.rounding import BIG
from hwnas.profilers.tvm.kernels.int8.vnni import vnni_here
from hwnas.profilers.tvm.kernels.packs import Pack, Schedule, tvm_version
from hwnas.profilers.tvm.kernels.plan import kernel_module, kernels_of, space_layers
from hwnas.profilers.tvm.target import Target
from hwnas.spaces import FLOAT_BITS, Candidates, Layer, Network, activation_bits, get_space, random_network
from hwnas.spaces.layer import Activation
from tests.chains import at_bits, residual_chain

DEMO = get_space("demo")

pytestmark = pytest.mark.skipif(not vnni_here(), reason="this processor has no AVX512-VNNI")


def settled(layers: Sequence[Layer], seed: int = 0) -> Network:
    """A network with biases whose tensors have the ranges they take on random images."""
    network = random_network(layers, seed)
    rng = np.random.default_rng(seed)
    weights = {
        name: (rng.standard_normal(one.shape) / 4).astype(np.float32) if name.endswith("bias") else one
        for name, one in network.weights.items()
    }
    floats = Network(at_bits(list(layers), FLOAT_BITS), weights)
    model = onnx_model(floats)
    names = [name for name in activation_bits(layers) if name != "input"]
    made = model.graph.output[0].name
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(n) for n in names if n != made)
    x = images(network)
    names = [made, *(name for name in names if name != made)]
    values = dict(zip(names, session(model).run(None, {"input": x}), strict=True)) | {"input": x}
    ranges = {name: (float(values[name].min()), float(values[name].max())) for name in network.ranges}
    return Network(tuple(layers), weights, ranges)


def images(network: Network) -> np.ndarray:
    return np.random.default_rng(7).standard_normal(network.input_shape).astype(np.float32)


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


def library_of(network: Network, folder: Path, wide: bool = False) -> Library:
    """The kernels of one chain; those in floating point have no schedules, which only makes them slow."""
    first = network.layers[0]
    image = first.kind == "conv" and first.in_channels == 3
    keys = list(dict.fromkeys(link.key for link in links_of(network.layers, image)))
    target = Target(mcpu="x86-64-v4", wide=wide)
    floats = kernels_of([key for key in keys if not key[0].quantized], target.channel_multiple).functions
    schedules = {key: Schedule([[], []], 1.0, 1) for key in floats}
    pack = Pack("tiny", target, str(tvm_version()), "any", "2026-01-02", schedules)
    return open_library(keys, pack, folder)


def outputs(network: Network, folder: Path, wide: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """What the compiled chain makes and what ONNX Runtime makes of the QDQ file, NHWC if a map."""
    import tvm
    from tvm import relax

    library = library_of(network, folder, wide)
    path = folder / "net.so"
    export(network, library, path)
    machine = relax.VirtualMachine(tvm.runtime.load_module(str(path)), tvm.cpu())
    x = images(network)
    image = (network.layers[0], True) in library.plan
    given = x if image else np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    found = [machine["main"](tvm.runtime.tensor(given)).numpy() for _ in range(2)]
    np.testing.assert_array_equal(*found)
    reference = session(onnx_model(network)).run(None, {"input": x})[0]
    return found[0], reference.transpose(0, 2, 3, 1) if reference.ndim == 4 else reference


def assert_same_levels(network: Network, folder: Path, most: int = 1) -> None:
    """Checks a chain that makes a quantized map: equal to a level, and to the bit nearly everywhere."""
    found, reference = outputs(network, folder)
    last = network.layers[-1]
    scale = quantizers_of(network)[f"{last.name}.{last.ops[-1].name}"].scale
    steps = np.rint((found - reference) / scale)
    np.testing.assert_allclose(found - reference, steps * scale, atol=1e-3 * scale)
    assert np.abs(steps).max() <= most
    assert (steps != 0).mean() < 0.01
    assert len(np.unique(np.rint(reference / scale))) > 20


BLOCK = Layer("mbconv", 16, 16, 8, 3, 1, 48, activation="relu", weight_bits=8, activation_bits=8, name="a")


@pytest.mark.parametrize("activation", ["relu", "relu6", "h_swish"])
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"se": True},
        {"out_channels": 24},
        {"out_channels": 24, "stride": 2, "kernel": 5, "se": True, "in_size_px": 9},
        {"mid_channels": 16},
        {"mid_channels": 16, "out_channels": 8, "kernel": 7},
        {"in_channels": 24, "out_channels": 24, "mid_channels": 72, "se": True, "in_size_px": 4},
        {"in_channels": 10, "out_channels": 10, "mid_channels": 30, "in_size_px": 5},
    ],
)
def test_blocks_are_equal_to_a_level(change: dict[str, int], activation: Activation, tmp_path: Path) -> None:
    assert_same_levels(settled([replace(BLOCK, activation=activation, **change)]), tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "layer",
    [
        Layer("conv", 3, 16, 32, 3, 2, activation="relu", name="a"),
        Layer("conv", 3, 24, 15, 5, 1, activation="h_swish", name="a"),
        Layer("conv", 24, 40, 7, 1, activation="relu", name="a"),
        Layer("conv", 24, 40, 1, 1, activation="h_swish", norm=False, name="a"),
        Layer("conv", 12, 20, 9, 3, 2, activation="relu6", name="a"),
        Layer("residual_conv", 16, 16, 8, 3, activation="relu", name="a"),
        Layer("residual_conv", 16, 16, 8, 3, activation="h_swish", name="a"),
        Layer("bottleneck", 16, 32, 9, 3, 2, 8, activation="relu", name="a"),
        Layer("bottleneck", 16, 16, 8, 3, 1, 8, activation="h_swish", name="a"),
    ],
    ids=lambda layer: f"{layer.kind}-{layer.in_channels}-{layer.activation}",
)
def test_layers_are_equal_to_a_level(layer: Layer, tmp_path: Path) -> None:
    assert_same_levels(settled(at_bits([layer], 8)), tmp_path)


@pytest.mark.parametrize("classes", [2, 10, 21])
def test_logits_are_those_of_the_file_to_the_letter(classes: int, tmp_path: Path) -> None:
    """ONNX Runtime's own kernel rounds activations once more; without optimizations it does not."""
    network = settled(at_bits([Layer("linear", 38, classes, 1, norm=False, name="a")], 8))
    found, fused = outputs(network, tmp_path)
    assert found.shape == (1, classes)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    plain = onnxruntime.InferenceSession(onnx_model(network).SerializeToString(), options)
    np.testing.assert_allclose(found, plain.run(None, {"input": images(network)})[0], atol=1e-5)
    np.testing.assert_allclose(found, fused, atol=0.02 * float(np.abs(fused).max()))


def policies(layers: Sequence[Layer], kind: str) -> tuple[Layer, ...]:
    """The layers with 8 bits in all of them, every second one, some, or one alone."""
    count = len(layers)
    rng = np.random.default_rng(3)
    chosen = {
        "all": np.ones(count, bool),
        "even": np.arange(count) % 2 == 0,
        "odd": np.arange(count) % 2 == 1,
        "random": rng.random(count) < 0.5,
        "first": np.arange(count) == 0,
        "last": np.arange(count) == count - 1,
    }[kind]
    return tuple(
        replace(layer, weight_bits=8, activation_bits=8) if layer.quantizable and byte else layer
        for layer, byte in zip(layers, chosen, strict=True)
    )


def assert_like_the_file(network: Network, folder: Path, wide: bool = False) -> None:
    """Checks logits: a level's difference in some tensors changes them by little."""
    found, reference = outputs(network, folder, wide)
    np.testing.assert_allclose(found, reference, atol=0.03 * float(np.abs(reference).max()))
    assert np.corrcoef(found.ravel(), reference.ravel())[0, 1] > 0.999


@pytest.mark.parametrize("kind", ["all", "even", "odd", "random", "first", "last"])
def test_networks_of_any_policy_compute_what_the_file_says(kind: str, tmp_path: Path) -> None:
    genomes = DEMO.sample_genomes(1, np.random.default_rng(11))
    assert_like_the_file(settled(policies(Candidates.of_genomes(DEMO, genomes).layers(0), kind)), tmp_path)


@pytest.mark.parametrize("kind", ["even", "odd"])
def test_filled_up_maps_and_maps_of_bytes_meet(kind: str, tmp_path: Path) -> None:
    genomes = DEMO.sample_genomes(1, np.random.default_rng(12))
    network = settled(policies(Candidates.of_genomes(DEMO, genomes).layers(0), kind))
    assert_like_the_file(network, tmp_path, wide=True)


@pytest.mark.parametrize("activation", ["relu", "h_swish"])
@pytest.mark.parametrize("kind", ["all", "odd"])
def test_residual_networks_compute_what_the_file_says(
    kind: str, activation: Activation, tmp_path: Path
) -> None:
    assert_like_the_file(settled(policies(residual_chain(37, activation=activation), kind)), tmp_path)


def test_sums_of_the_instruction_are_exact_under_every_tile() -> None:
    """Against integers in numpy, with channels that fill neither the instruction nor its lanes."""
    import tvm

    from hwnas.profilers.tvm.kernels.int8.vnni import kernel_target, sketches

    layer = replace(CONV, in_channels=10, out_channels=40)
    (function,) = kernels_of([(layer, False)]).functions.values()
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (1, 6, 6, 10), dtype=np.uint8)
    w = rng.integers(-127, 128, (40, 12), dtype=np.int8)
    w[:, 10:] = 0
    packed = np.zeros((3, 3, 16, 4), np.int8)
    for o in range(40):
        packed[o // 16, :, o % 16] = w[o].reshape(3, 4)
    bias = rng.integers(-1000, 1000, 40, dtype=np.int32)
    p = np.array([3, BIG + 7, BIG, BIG + 255], np.float32)
    factor = np.full(40, 1 / 512, np.float32)
    exact = x.reshape(36, 10).astype(np.int64) @ w[:, :10].T.astype(np.int64) + bias
    expected = np.clip(np.rint(exact / 512 + 7), 0, 255).reshape(1, 6, 6, 40)
    target = kernel_target(function, Target(mcpu="x86-64-v4"))
    for sketch in sketches(kernel_module(function), most=8):
        found = tvm.runtime.tensor(np.zeros((1, 6, 6, 40), np.uint8))
        tvm.compile(sketch.mod, target)["main"](
            *(tvm.runtime.tensor(one) for one in (x, packed, bias, factor, p)), found
        )
        np.testing.assert_array_equal(found.numpy(), expected)


CONV = Layer("conv", 16, 16, 6, activation="relu", weight_bits=8, activation_bits=8, name="a")


def test_maps_of_bytes_take_about_a_quarter() -> None:
    layers = at_bits(list(Candidates.of_genomes(DEMO, DEMO.genomes([DEMO.largest()])).layers(0)), 8)
    keys = [link.key for link in links_of(layers)]
    calls = calls_of(layers, kernels_of(keys).plan)
    assert {call.dtype for call in calls[:-1]} == {"uint8"}
    floats = at_bits(list(layers), FLOAT_BITS)
    plain = calls_of(floats, kernels_of([link.key for link in links_of(floats)]).plan)
    assert sum(place_values(calls)[2]) < 0.3 * sum(place_values(plain)[2])


def test_conversions_stand_where_kinds_of_maps_meet() -> None:
    layers = policies(Candidates.of_genomes(DEMO, DEMO.genomes([DEMO.smallest()])).layers(0), "even")
    plan = kernels_of(list(dict.fromkeys(link.key for link in links_of(layers)))).plan
    names = call_names(layers, plan)
    assert len(names) == len(calls_of(layers, plan))
    assert f"{layers[0].name}.conv.dq" in names
    assert f"{layers[1].name}.project.q" in names


def test_a_space_s_layers_hold_those_of_8_bits_and_conversions() -> None:
    keys = set(space_layers(DEMO, (32, 8)))
    genomes = DEMO.sample_genomes(50, np.random.default_rng(1))
    chosen = Candidates.of_genomes(DEMO, genomes)
    for row in range(len(chosen)):
        for kind in ("all", "even", "odd", "random"):
            assert {link.key for link in links_of(policies(chosen.layers(row), kind))} <= keys


def test_floating_point_kernels_are_the_same_beside_those_of_8_bits() -> None:
    floats = kernels_of(space_layers(DEMO))
    both = kernels_of(space_layers(DEMO, (32, 8)))
    assert set(floats.functions) < set(both.functions)
    assert all(both.plan[key] == steps for key, steps in floats.plan.items())


@pytest.mark.parametrize(("weights", "activations"), [(4, 4), (8, 32), (32, 8), (8, 4)])
def test_other_bits_are_refused_by_name(weights: int, activations: int) -> None:
    layer = replace(CONV, weight_bits=weights, activation_bits=activations)
    with pytest.raises(InputError, match=f"got a conv with {weights} and {activations}"):
        kernels_of([(layer, False)])


def test_a_block_that_reads_the_image_in_8_bits_is_refused() -> None:
    with pytest.raises(InputError, match="be a conv to read the image"):
        kernels_of([(BLOCK, True)])
