"""Exporting a quantized model in every form, from a search on this machine."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hwnas.spaces import Candidates, get_space

from .conftest import Ran

Run = Callable[..., Ran]


def good(ran: Ran) -> Ran:
    assert ran.code == 0, ran.err
    return ran


@pytest.mark.slow
def test_a_quantized_model_leaves_in_every_form_beside_its_twin(
    hwnas: Run, tmp_path: Path, data: str, supernet: Path
) -> None:
    run = tmp_path / "run"
    words = ("search", "--target-latency", "250ms", "--device", "cpu-ort", "--supernet", supernet)
    words += ("--data", data, "-o", run, "--samples", 12, "--evaluations", 24, "--no-export")
    good(hwnas(*words))
    front = json.loads((run / "front.json").read_text())
    # Whatever the search found, one member is made to be of 8 bits throughout.
    space, one = get_space("demo"), front["candidates"][0]
    candidates = Candidates.of_json(space, [one["architecture"]])
    candidate = Candidates.of_genomes(space, candidates.genomes, 8, 8).unpack()[0]
    one.update(id=candidate.id, bits=candidate.bits.to_json(), deploy_on="cpu-ort")
    front["candidates"] = [one]
    (run / "front.json").write_text(json.dumps(front))
    formats = [word for name in ("onnx-qdq", "onnx-int4", "qonnx", "torch") for word in ("--format", name)]
    ran = good(hwnas("export", run, "--supernet", supernet, "-o", tmp_path / "out", *formats, "--json"))
    (model,) = json.loads(ran.out)["models"]
    folder = tmp_path / "out" / "models" / model["id"]
    manifest = json.loads((folder / "manifest.json").read_text())
    names = {one["name"] for one in manifest["files"]}
    assert names == {"model.onnx", "model-int4.onnx", "model-qonnx.onnx", "model.pt2"}
    assert names <= {one.name for one in folder.iterdir()}
    twin = manifest["float_twin"]
    assert twin["ratio"] == pytest.approx(manifest["latency_ms"]["cpu-ort"]["value"] / twin["latency_ms"])
    said = "is not faster than its floating-point twin" in ran.err
    assert said is not twin["faster_than_twin"]
    assert manifest["agreement"]["accuracy_difference_points"] == 0


def test_an_unknown_format_is_one_line(hwnas: Run, tmp_path: Path) -> None:
    ran = hwnas("export", tmp_path, "--format", "tflite")
    assert ran.code == 2
    assert "--format must be one of onnx, onnx-qdq" in ran.err
