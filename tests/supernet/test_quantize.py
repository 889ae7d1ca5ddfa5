import copy
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch

from hwnas.profilers.onnx.model import onnx_model
from hwnas.profilers.onnx.quantizer import activation_quantizer
from hwnas.spaces import activation_bits
from hwnas.supernet import FoldedNetwork, calibrated, recalibrate, to_network
from hwnas.supernet.quantize import fake_quantize
from hwnas.supernet.subnet import Subnet
from tests.chains import residual_chain
from tests.supernet.conftest import telling


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(32, 3, 24, 24, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def subnet(space, images):
    return recalibrate(telling(space).extract(space.largest()), [images])


def at_bits(layers, bits, only=None):
    return tuple(
        replace(layer, weight_bits=bits, activation_bits=bits)
        if layer.quantizable and (only is None or layer.name in only)
        else layer
        for layer in layers
    )


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def test_folding_changes_nothing_in_floating_point(subnet, images) -> None:
    network = to_network(subnet)
    with torch.inference_mode():
        torch.testing.assert_close(FoldedNetwork(network)(images), subnet(images), rtol=1e-4, atol=1e-5)
    assert all(value.dtype == np.float32 and value.flags.c_contiguous for value in network.weights.values())


def test_eight_bits_are_close_to_floating_point(subnet, images) -> None:
    network = calibrated(copy.deepcopy(subnet), at_bits(subnet.layers, 8), [images])
    assert set(network.ranges) == set(activation_bits(network.layers))
    with torch.inference_mode():
        error = relative_error(FoldedNetwork(network)(images), subnet(images))
    assert 0 < error < 0.05


def test_fewer_bits_are_worse(subnet, images) -> None:
    errors = []
    with torch.inference_mode():
        for bits in (8, 6, 4):
            network = calibrated(copy.deepcopy(subnet), at_bits(subnet.layers, bits), [images])
            errors.append(relative_error(FoldedNetwork(network)(images), subnet(images)))
    assert errors == sorted(errors)


@pytest.mark.parametrize("only", [None, ["stages.0.0", "stages.1.1"], ["stem"], ["classifier"], []])
def test_the_fake_quantized_module_agrees_with_the_onnx_file(subnet, images, only) -> None:
    network = calibrated(copy.deepcopy(subnet), at_bits(subnet.layers, 8, only), [images])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # The file as it says; fused integer kernels round some sums the other way.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        onnx_model(network).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    (from_file,) = session.run(None, {"input": images.numpy()})
    with torch.inference_mode():
        from_torch = FoldedNetwork(network)(images)
    # Sums that fall between two integers may round either way and move what follows by one step.
    assert relative_error(from_torch, torch.from_numpy(from_file)) < (0.01 if only != [] else 1e-5)


@pytest.mark.parametrize("bits", [32, 8])
@pytest.mark.parametrize("size_px", [32, 33, 37])
def test_branches_run_as_the_onnx_file_says(size_px: int, bits: int) -> None:
    torch.manual_seed(0)
    images = torch.randn(16, 3, size_px, size_px)
    subnet = recalibrate(Subnet(residual_chain(size_px)), [images]).eval()
    network = calibrated(copy.deepcopy(subnet), residual_chain(size_px, bits), [images])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        onnx_model(network).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    from_file = torch.from_numpy(session.run(None, {"input": images.numpy()})[0])
    with torch.inference_mode():
        from_torch, as_float = FoldedNetwork(network)(images), subnet(images)
    assert relative_error(from_torch, from_file) < (1e-5 if bits == 32 else 0.01)
    assert relative_error(from_torch, as_float) < (1e-4 if bits == 32 else 0.1)


@pytest.mark.parametrize(
    ("low", "high", "bits"), [(-1.3, 2.1, 8), (0.0, 3.0, 8), (-2.0, 0.5, 4), (0.0, 0.0, 8)]
)
def test_fake_quantization_is_the_shared_quantizer(low: float, high: float, bits: int) -> None:
    quantizer = activation_quantizer(low, high, bits)
    x = torch.randn(1000, generator=torch.Generator().manual_seed(0)) * 2
    found = fake_quantize(x / quantizer.scale, quantizer)
    np.testing.assert_array_equal(found.numpy(), quantizer.fake(x.numpy()))


def test_images_are_left_as_they_are(subnet, images) -> None:
    network = calibrated(copy.deepcopy(subnet), at_bits(subnet.layers, 8), [images])
    given = images.contiguous(memory_format=torch.channels_last)
    before = given.clone()
    with torch.inference_mode():
        FoldedNetwork(network)(given)
    assert torch.equal(given, before)
