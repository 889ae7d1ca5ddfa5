"""ONNX models against an independent reference in torch's own operations."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.nn import functional as F

from hwnas.export.gate import file_logits
from hwnas.profilers.onnx.model import onnx_model
from hwnas.profilers.onnx.quantizer import activation_quantizer, fake_quantized_weight
from hwnas.spaces import (
    FLOAT_BITS,
    Candidates,
    Layer,
    Network,
    activation_bits,
    get_space,
    operations,
    random_network,
)
from hwnas.spaces.layer import Activation
from tests.chains import residual_chain

ACTIVATIONS = {
    "none": lambda x: x,
    "relu": F.relu,
    "relu6": F.relu6,
    "h_swish": F.hardswish,
    "h_sigmoid": F.hardsigmoid,
}


def chain(architecture: str, bits: int, space_name: str = "demo") -> tuple[Layer, ...]:
    space = get_space(space_name)
    one = getattr(space, architecture)()
    return Candidates.of_architectures(space, [one], bits).layers(0)


def with_biases(network: Network) -> Network:
    rng = np.random.default_rng(1)
    weights = {
        name: (rng.standard_normal(value.shape) * 0.1).astype(np.float32) if name.endswith("bias") else value
        for name, value in network.weights.items()
    }
    return replace(network, weights=weights)


@pytest.mark.parametrize("bits", [32, 8])
def test_a_part_of_a_network_makes_a_map(bits: int) -> None:
    layers = chain("largest", bits)[1:3]
    network = with_biases(random_network(layers))
    x = np.random.default_rng(0).standard_normal(network.input_shape).astype(np.float32)
    session = onnxruntime.InferenceSession(onnx_model(network).SerializeToString())
    (exit_,) = session.get_outputs()
    assert exit_.name.startswith(f"{layers[-1].name}.{layers[-1].ops[-1].name}")
    found = session.run(None, {"input": x})[0]
    assert list(found.shape[1:]) == [layers[-1].out_channels, *[layers[-1].out_size_px] * 2]
    expected = reference(network, x)
    assert np.abs(found - expected).max() <= (1e-4 if bits == 32 else 0.1) * np.abs(expected).max()


def reference(network: Network, x: np.ndarray) -> np.ndarray:
    """Runs the chain with torch; quantized tensors are fake-quantized by the shared quantizer."""
    bits = activation_bits(network.layers)

    def settle(tensor: torch.Tensor, name: str) -> torch.Tensor:
        if name not in bits:
            return tensor
        return torch.from_numpy(activation_quantizer(*network.ranges[name], bits[name]).fake(tensor.numpy()))

    held = {"input": settle(torch.from_numpy(x), "input")}
    for layer, op, reads in operations(network.layers):
        name = f"{layer.name}.{op.name}"
        first, *others = (held[one] for one in reads)
        if op.kind == "pool":
            tensor = first.mean((2, 3), keepdim=True)
        elif op.kind == "scale":
            tensor = first * others[0]
        elif op.kind == "add":
            tensor = first + others[0]
        elif op.kind == "max_pool":
            padded = F.pad(first, [op.kernel // 2] * 4, value=-torch.inf)
            tensor = F.max_pool2d(padded, op.kernel, op.stride)
        elif op.kind == "average_pool":
            tensor = window_means(first, op.kernel)
        else:
            weight = network.weights[f"{name}.weight"]
            if layer.weight_bits < FLOAT_BITS:
                weight = fake_quantized_weight(weight, layer.weight_bits)
            bias = torch.from_numpy(network.weights[f"{name}.bias"]) if op.bias else None
            if op.kind == "linear":
                tensor = F.linear(first.flatten(1), torch.from_numpy(weight), bias)
            else:
                groups = op.in_channels if op.kind == "depthwise" else 1
                tensor = F.conv2d(
                    first, torch.from_numpy(weight), bias, op.stride, op.kernel // 2, groups=groups
                )
        if op.activation != "none":
            tensor = ACTIVATIONS[op.activation](settle(tensor, f"{name}.pre"))
        held[name] = settle(tensor, name)
    return held[name].numpy()


def window_means(x: torch.Tensor, kernel: int) -> torch.Tensor:
    """The mean of each window that does not overlap others, cut short at the end of the map."""
    rows = [
        torch.stack([part.mean((2, 3)) for part in strip.split(kernel, 3)], 2) for strip in x.split(kernel, 2)
    ]
    return torch.stack(rows, 2)


def run(model: onnx.ModelProto, x: np.ndarray, optimized: Path | None = None) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if optimized:
        options.optimized_model_filepath = str(optimized)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return session.run(None, {"input": x})[0]


def images(network: Network, n: int = 4) -> np.ndarray:
    return np.random.default_rng(3).standard_normal((n, *network.input_shape[1:])).astype(np.float32)


def settled_ranges(network: Network, x: np.ndarray) -> Network:
    """Gives every quantized tensor the range that it really has."""
    floats = replace(
        network,
        layers=tuple(
            replace(layer, weight_bits=FLOAT_BITS, activation_bits=FLOAT_BITS) for layer in network.layers
        ),
    )
    model = onnx_model(floats)
    names = [name for name in network.ranges if name != "input"]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    values = dict(zip(["logits", *names], session.run(None, {"input": x}), strict=True)) | {"input": x}
    ranges: Mapping[str, tuple[float, float]] = {
        name: (float(values[name].min()), float(values[name].max())) for name in network.ranges
    }
    return replace(network, ranges=ranges)


@pytest.mark.parametrize("space", ["demo", "ofa-mobilenetv3-w1.0"])
@pytest.mark.parametrize("architecture", ["smallest", "largest"])
def test_the_float_model_computes_what_the_chain_says(space: str, architecture: str) -> None:
    if (space, architecture) == ("ofa-mobilenetv3-w1.0", "largest"):
        pytest.skip("seconds of work, and the smallest has every kind of layer")
    network = with_biases(random_network(chain(architecture, 32, space)))
    model = onnx_model(network)
    onnx.checker.check_model(model, full_check=True)
    x = images(network)
    expected = reference(network, x)
    np.testing.assert_allclose(run(model, x), expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_the_quantized_model_agrees_with_the_shared_quantizer() -> None:
    network = with_biases(random_network(chain("smallest", 8)))
    x = images(network, 32)
    network = settled_ranges(network, x)
    model = onnx_model(network)
    onnx.checker.check_model(model, full_check=True)
    expected = reference(network, x)
    found = run(model, x)
    # Ties that round the other way move a tensor by one step of 255 and travel on.
    assert np.abs(found - expected).max() < 0.03 * np.abs(expected).max()
    assert (found.argmax(1) == expected.argmax(1)).mean() > 0.9


@pytest.mark.parametrize("size_px", [32, 33, 37, 42])
@pytest.mark.parametrize("activation", ["relu", "h_swish"])
def test_residual_chains_compute_what_they_say_at_every_size(size_px: int, activation: Activation) -> None:
    network = with_biases(random_network(residual_chain(size_px, activation=activation)))
    x = images(network)
    model = onnx_model(network)
    onnx.checker.check_model(model, full_check=True)
    expected = reference(network, x)
    np.testing.assert_allclose(run(model, x), expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())
    quantized = replace(network, layers=residual_chain(size_px, 8, activation))
    quantized = settled_ranges(replace(quantized, ranges=dict.fromkeys(activation_bits(quantized.layers))), x)
    found, expected = run(onnx_model(quantized), x), reference(quantized, x)
    assert np.abs(found - expected).max() < 0.03 * np.abs(expected).max()


def test_a_quantized_residual_network_runs_on_integer_kernels_throughout(tmp_path: Path) -> None:
    network = random_network(residual_chain(37, 8))
    run(onnx_model(network), images(network, 1), tmp_path / "optimized.onnx")
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node)
    ops = Counter(op.kind for layer in network.layers for op in layer.ops)
    assert kinds["QLinearConv"] == ops["conv"]
    assert kinds["QLinearAdd"] == ops["add"]
    assert kinds["QLinearAveragePool"] == ops["average_pool"] == 1
    assert not {"Conv", "FusedConv", "Relu", "Add", "AveragePool"} & set(kinds)
    # One at the image, one at the logits: the max pool works on the integers it finds, but for one
    # more of ONNX Runtime 1.22.
    assert kinds["QuantizeLinear"] == 1
    assert kinds["DequantizeLinear"] <= 1 + onnxruntime.__version__.startswith("1.22.")


def test_a_shortcut_s_bias_is_scaled_by_what_the_shortcut_reads() -> None:
    network = with_biases(random_network(residual_chain(33, 8)))
    model = onnx_model(settled_ranges(network, images(network)))
    found = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    for layer, reads in (("stages.0.0", "max_pool.max_pool"), ("stages.1.0", "stages.1.0.shortcut_pool")):
        scales = found[f"{layer}.shortcut.weight.scale"] * found[f"{reads}.scale"]
        np.testing.assert_allclose(found[f"{layer}.shortcut.bias.scale"], scales, rtol=1e-6)


def test_half_quantized_chains_hold_both_kinds_of_layers() -> None:
    layers = tuple(
        replace(layer, weight_bits=8, activation_bits=8) if index % 2 and layer.quantizable else layer
        for index, layer in enumerate(chain("largest", 32))
    )
    network = with_biases(random_network(layers))
    x = images(network)
    network = settled_ranges(network, x)
    model = onnx_model(network)
    onnx.checker.check_model(model, full_check=True)
    expected = reference(network, x)
    assert np.abs(run(model, x) - expected).max() < 0.05 * np.abs(expected).max()


def test_a_quantized_network_runs_on_integer_kernels_throughout(tmp_path: Path) -> None:
    network = random_network(chain("largest", 8))
    run(onnx_model(network), images(network, 1), tmp_path / "optimized.onnx")
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node)
    convolutions = sum(op.kind in ("conv", "depthwise") for layer in network.layers for op in layer.ops)
    assert kinds["QLinearConv"] == convolutions
    assert kinds["QLinearAdd"] == sum(layer.residual for layer in network.layers)
    assert not {"Conv", "FusedConv", "Relu", "Add", "Mul"} & set(kinds)


def test_fewer_than_eight_bits_live_in_the_same_containers() -> None:
    layers = tuple(
        replace(layer, weight_bits=4, activation_bits=6) if layer.quantizable else layer
        for layer in chain("smallest", 32)
    )
    network = with_biases(random_network(layers))
    x = images(network)
    network = settled_ranges(network, x)
    model = onnx_model(network)
    onnx.checker.check_model(model, full_check=True)
    for tensor in model.graph.initializer:
        if tensor.name.endswith(".weight.q"):
            integers = onnx.numpy_helper.to_array(tensor)
            assert integers.dtype == np.int8
            assert np.abs(integers).max() <= 7
    expected = reference(network, x)
    # The reference keeps biases exact; at 4 bits those of the file are coarse, and tip roundings.
    assert np.linalg.norm(run(model, x) - expected) < 0.2 * np.linalg.norm(expected)


def test_dead_channels_and_constant_ranges_do_no_harm() -> None:
    network = with_biases(random_network(chain("smallest", 8)))
    x = images(network)
    network = settled_ranges(network, x)
    weights = {name: value.copy() for name, value in network.weights.items()}
    weights["stem.conv.weight"][0] = 0
    weights["stem.conv.weight"][1] = 1e-9
    ranges = {**network.ranges, "stages.1.0.se_reduce": (0.0, 0.0)}
    network = replace(network, weights=weights, ranges=ranges)
    model = onnx_model(network)
    onnx.checker.check_model(model, full_check=True)
    expected = reference(network, x)
    found = run(model, x)
    assert np.isfinite(found).all()
    assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()


def test_names_shapes_and_versions_are_the_contract() -> None:
    model = onnx_model(random_network(chain("smallest", 8)))
    (entry,), (exit_,) = model.graph.input, model.graph.output
    assert (entry.name, exit_.name) == ("input", "logits")
    assert entry.type.tensor_type.shape.dim[0].dim_param == "batch"
    assert [one.dim_value for one in entry.type.tensor_type.shape.dim[1:]] == [3, 32, 32]
    assert (model.opset_import[0].version, model.ir_version) == (21, 10)
    made = {output for node in model.graph.node for output in node.output}
    assert {"stem.conv", "stages.0.0.depthwise.dq", "stages.1.0.se_scale.q"} <= made


class TestDialects:
    """The same numbers, written for size (int4) and for FINN (qonnx)."""

    @staticmethod
    def mixed(seed: int = 3) -> Network:
        """A small demo network of 4, 6 and 8 bits, with ranges that are no round numbers."""
        space, rng = get_space("demo"), np.random.default_rng(seed)
        weights, activations = (rng.choice([4, 6, 8], size=(1, len(space.slots))) for _ in "wa")
        genome = space.genomes([space.smallest()])
        network = random_network(Candidates.of_genomes(space, genome, weights, activations).layers(0))
        ranges = {
            name: (low * rng.uniform(0.7, 0.9), high * rng.uniform(0.7, 0.9))
            for name, (low, high) in network.ranges.items()
        }
        return replace(network, ranges=ranges)

    @staticmethod
    def images(network: Network, n: int = 8) -> np.ndarray:
        return np.random.default_rng(0).standard_normal((n, *network.input_shape[1:])).astype(np.float32)

    def test_int4_tensors_compute_the_same_and_are_half_the_size(self) -> None:
        network = self.mixed()
        images = self.images(network)
        models = [onnx_model(network, dialect) for dialect in ("qdq", "int4")]
        onnx.checker.check_model(models[1], full_check=True)
        logits = [file_logits(model.SerializeToString(), threads=1)(images) for model in models]
        np.testing.assert_allclose(logits[1], logits[0], rtol=0, atol=2e-2 * np.abs(logits[0]).max())
        packed = {one.name: len(one.raw_data or one.int32_data) for one in models[1].graph.initializer}
        four = [layer for layer in network.layers if layer.quantizable and layer.weight_bits == 4]
        assert four
        for layer in four:
            for op in (op for op in layer.ops if op.weights):
                name = f"{layer.name}.{op.name}.weight.q"
                (one,) = [tensor for tensor in models[1].graph.initializer if tensor.name == name]
                assert one.data_type == TensorProto.INT4
                assert packed[name] <= -(-op.weights // 2) + 1

    def test_quant_nodes_say_what_the_qdq_pairs_compute(self) -> None:
        network = self.mixed()
        model = onnx_model(network, "qonnx")
        onnx.checker.check_model(model)
        assert {one.domain for one in model.opset_import} == {"", "qonnx.custom_op.general"}
        kinds = [node.op_type for node in model.graph.node]
        assert not {"QuantizeLinear", "DequantizeLinear"} & set(kinds)
        images = self.images(network)
        want = file_logits(onnx_model(network).SerializeToString(), threads=1)(images)
        found = file_logits(lowered(model).SerializeToString(), threads=1)(images)
        np.testing.assert_allclose(found, want, rtol=0, atol=2e-2 * np.abs(want).max())

    def test_quant_nodes_carry_the_bits_of_the_policy(self) -> None:
        network = self.mixed()
        model = onnx_model(network, "qonnx")
        constants = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
        bits = {node.output[0]: float(constants[node.input[3]]) for node in model.graph.node if node.domain}
        for layer in network.layers:
            for op in (op for op in layer.ops if op.weights):
                assert bits[f"{layer.name}.{op.name}.weight"] == layer.weight_bits
        for tensor, width in activation_bits(network.layers).items():
            assert bits[f"{tensor}.dq"] == width

    def test_float_weights_stay_float_where_activations_are_quantized(self, tmp_path: Path) -> None:
        # ONNX Runtime would give them 8 bits of its own: see _Writer._fenced.
        space = get_space("demo")
        genome = space.genomes([space.smallest()])
        network = random_network(Candidates.of_genomes(space, genome, 32, 4).layers(0))
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
        model = onnx_model(network).SerializeToString()
        onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        kept = onnx.load(tmp_path / "optimized.onnx").graph.initializer
        held = {one.data_type for one in kept if np.prod(one.dims) > 64}
        assert held == {TensorProto.FLOAT}


def lowered(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with each Quant node as standard operations, by QONNX's definition of it."""
    nodes, constants = [], {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    extra = []
    for node in model.graph.node:
        if node.op_type != "Quant":
            nodes.append(node)
            continue
        fields = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        bits, name = float(constants[node.input[3]]), node.output[0]
        most = 2 ** (bits - fields["signed"]) - 1
        least = -(most if fields["narrow"] else most + 1) if fields["signed"] else 0.0
        for end, value in (("least", least), ("most", most)):
            extra.append(numpy_helper.from_array(np.float32(value), f"{name}.{end}"))
        x, scale, zero = node.input[:3]
        nodes += [
            helper.make_node("Div", [x, scale], [f"{name}.a"]),
            helper.make_node("Add", [f"{name}.a", zero], [f"{name}.b"]),
            helper.make_node("Clip", [f"{name}.b", f"{name}.least", f"{name}.most"], [f"{name}.c"]),
            helper.make_node("Round", [f"{name}.c"], [f"{name}.d"]),
            helper.make_node("Sub", [f"{name}.d", zero], [f"{name}.e"]),
            helper.make_node("Mul", [f"{name}.e", scale], [name]),
        ]
    graph = helper.make_graph(
        nodes, "lowered", model.graph.input, model.graph.output, [*model.graph.initializer, *extra]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
