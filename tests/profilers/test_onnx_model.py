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
from torch.nn import functional as F

from hwnas.profilers.onnx_model import onnx_model
from hwnas.profilers.quantizer import activation_quantizer, fake_quantized_weight
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
    # One at the image, one at the logits: the max pool works on the integers it finds.
    assert (kinds["QuantizeLinear"], kinds["DequantizeLinear"]) == (1, 1)


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
