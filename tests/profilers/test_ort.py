from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from hwnas.errors import UnavailableError
from hwnas.profilers import ort
from hwnas.profilers.ort import OnnxRuntimeCpu
from hwnas.spaces import Candidates, get_space, random_network

SPACE = get_space("demo")
LAYERS = Candidates.of_architectures(SPACE, [SPACE.smallest()], 8).layers(0)


def test_without_onnx_runtime_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "find_spec", lambda name: None)
    assert "pip install onnxruntime" in str(OnnxRuntimeCpu().unavailable())
    with pytest.raises(UnavailableError, match=r"'cpu-ort' is not usable here.*pip install onnxruntime"):
        OnnxRuntimeCpu().fingerprint()


def test_weights_and_activations_must_have_the_same_bits() -> None:
    mixed = replace(LAYERS[0], weight_bits=8, activation_bits=32)
    assert (
        OnnxRuntimeCpu().refusal(mixed) == "weights and activations must have the same bits, but got 8 and 32"
    )
    four = replace(LAYERS[0], weight_bits=4, activation_bits=4)
    assert OnnxRuntimeCpu().refusal(four) == "bits must be 32 or 8, but got 4"


def test_the_artefact_is_a_quantized_onnx_file(tmp_path: Path) -> None:
    path = OnnxRuntimeCpu().build(random_network(LAYERS), tmp_path)
    assert path.name == "model.onnx"
    assert {"QuantizeLinear", "DequantizeLinear"} <= {node.op_type for node in onnx.load(path).graph.node}
