"""Further formats of an exported model: each computes the same, or is not written and says why."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from hwnas.errors import InputError
from hwnas.export.formats import FORMATS, bits_metadata, checked_formats, tensor_bits, write_format
from hwnas.export.onnx import read_onnx
from hwnas.profilers import get_device
from hwnas.report.models import MODEL_FILES
from hwnas.spaces import Candidates, Space, get_space, random_network
from hwnas.supernet.evaluation.evaluate import Prepared
from hwnas.supernet.quantize import FoldedNetwork

SPACE = get_space("demo")


def prepared(weights: int = 4, activations: int = 6, space: Space = SPACE) -> Prepared:
    genome = space.genomes([space.smallest()])
    network = random_network(Candidates.of_genomes(space, genome, weights, activations).layers(0))
    # A range of its own for each tensor: where a map and its mean share one, halves of a step are ties,
    # which the last bit of a sum in floating point decides.
    rng = np.random.default_rng(0)
    ranges = {
        name: (low * part, high * part)
        for (name, (low, high)), part in zip(
            network.ranges.items(), rng.uniform(0.7, 0.9, len(network.ranges)), strict=True
        )
    }
    network = replace(network, ranges=ranges)
    return Prepared(network, FoldedNetwork(network).eval())


def images(n: int = 40) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, 3, 32, 32)).astype(np.float32)


def test_int4_is_a_smaller_file_with_the_same_metadata(tmp_path: Path) -> None:
    one = prepared()
    metadata = {"architecture": "{}", **bits_metadata(one.network)}
    path, reason = write_format("onnx-int4", one, SPACE, tmp_path, images(), metadata)
    assert reason is None
    assert path == tmp_path / "model-int4.onnx"
    file = read_onnx(path)
    assert json.loads(file.metadata["tensor_bits"]) == tensor_bits(one.network)
    weights = sum(op.weights for layer in one.layers for op in layer.ops)
    assert len(file.content) < 0.75 * weights + 100_000


def test_qonnx_is_written_with_its_domain(tmp_path: Path) -> None:
    path, reason = write_format("qonnx", prepared(), SPACE, tmp_path, images(), {})
    assert reason is None
    assert path is not None
    model = onnx.load(path)
    assert {node.op_type for node in model.graph.node if node.domain} == {"Quant"}


@pytest.mark.parametrize(("weights", "activations"), [(32, 32), (8, 8)])
def test_torch_loads_the_program_without_this_package(tmp_path: Path, weights: int, activations: int) -> None:
    one = prepared(weights, activations)
    path, reason = write_format("torch", one, SPACE, tmp_path, images(), {})
    assert reason is None
    assert path is not None
    again = torch.export.load(path).module()
    x = torch.from_numpy(images(5))
    with torch.inference_mode():
        torch.testing.assert_close(again(x), one.module(x), rtol=1e-4, atol=1e-4)


def test_the_files_that_are_always_there_are_not_written_again(tmp_path: Path) -> None:
    for name in ("onnx", "onnx-qdq"):
        path, reason = write_format(name, prepared(), SPACE, tmp_path, images(), {})
        assert (path, reason) == (tmp_path / "model.onnx", None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["onnx-qdq", "onnx-int4", "qonnx"])
def test_a_model_in_floating_point_has_no_quantized_format(tmp_path: Path, name: str) -> None:
    path, reason = write_format(name, prepared(32, 32), SPACE, tmp_path, images(), {})
    assert path is None
    assert "in floating point" in str(reason)


def test_bits_that_tvm_does_not_run_leave_no_file(tmp_path: Path) -> None:
    path, reason = write_format("tvm", prepared(), SPACE, tmp_path, images(), {})
    assert path is None
    assert reason
    assert "\n" not in reason
    assert list(tmp_path.iterdir()) == []


def test_bits_are_said_for_every_weight_and_every_quantized_map() -> None:
    network = prepared(4, 6).network
    bits = tensor_bits(network)
    assert set(bits["weights"]) == {name for name in network.weights if name.endswith(".weight")}
    assert set(bits["weights"].values()) == {4}
    assert set(bits["activations"].values()) == {6}
    assert bits_metadata(prepared(32, 32).network) == {}


def test_an_unknown_format_is_refused() -> None:
    assert checked_formats(["qonnx", "torch", "qonnx"]) == ("qonnx", "torch")
    with pytest.raises(InputError, match=f"must be one of {', '.join(FORMATS)}, but got 'tflite'"):
        checked_formats(["tflite"])


def test_without_a_c_compiler_there_is_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    monkeypatch.delenv("CXX", raising=False)
    if missing := get_device("cpu", SPACE).unavailable():
        pytest.skip(missing)
    path, reason = write_format("tvm", prepared(32, 32), SPACE, tmp_path, images(), {})
    assert path is None
    assert reason == "tvm: a library needs a C compiler, and there is none here; apt install gcc"
    assert not any(tmp_path.iterdir())


def test_the_page_of_a_run_links_to_every_format() -> None:
    assert set(FORMATS.values()) <= set(MODEL_FILES)


@pytest.mark.slow
def test_tvm_writes_a_library_of_floating_point(tmp_path: Path) -> None:
    path, reason = write_format("tvm", prepared(32, 32), SPACE, tmp_path, images(), {})
    if reason and "usable" in reason:
        pytest.skip(reason)
    assert (path, reason) == (tmp_path / "model-tvm.so", None)
    assert [one.name for one in tmp_path.iterdir()] == ["model-tvm.so"]


@pytest.mark.slow
def test_the_qonnx_package_runs_the_file_as_onnx_runtime_runs_its_qdq_twin(tmp_path: Path) -> None:
    wrapper = pytest.importorskip("qonnx.core.modelwrapper")
    execution = pytest.importorskip("qonnx.core.onnx_exec")
    shapes = pytest.importorskip("qonnx.transformation.infer_shapes")
    one, x = prepared(), images(8)
    path, _ = write_format("qonnx", one, SPACE, tmp_path, x, {})
    model = wrapper.ModelWrapper(str(path))
    model.set_tensor_shape("input", list(x.shape))
    model = model.transform(shapes.InferShapes())
    found = execution.execute_onnx(model, {"input": x})["logits"]
    with torch.inference_mode():
        want = one.module(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(found, want, rtol=0, atol=0.05 * np.abs(want).max())
