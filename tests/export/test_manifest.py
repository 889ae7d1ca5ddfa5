import json
from pathlib import Path
from typing import Any

import pytest

from hwnas.errors import InputError
from hwnas.export.gate import Agreement
from hwnas.export.manifest import MANIFEST, Manifest, check_files, manifest_figure, write_manifest
from hwnas.profilers import Measurement
from hwnas.profilers.memory import PlannedMemory

MEASUREMENT = Measurement(
    subject="a",
    device="cpu-ort",
    fingerprint="f" * 16,
    kind="measured",
    latency_ms=1.0,
    p95_ms=1.2,
    ci_low_ms=0.99,
    ci_high_ms=1.01,
    samples_ms=(1.0, 1.2),
    conditions={"governor": "performance"},
    time="2026-01-01T00:00:00+00:00",
)
MANIFEST_FACTS = Manifest(
    id="0123456789",
    architecture={"space": "demo"},
    bits={"weights": [8], "activations": [8]},
    deploy_on="cpu-ort",
    accuracy_top1={"value": 90.0, "split": "test", "kind": "measured", "n": 100},
    latency_ms={"cpu-ort": manifest_figure(MEASUREMENT, 1.1)},
    macs=1,
    params=2,
    bitops=3,
    peak_memory_bytes=4,
    planned_memory=PlannedMemory(1, 2, 3, 4).to_json(),
    agreement=Agreement(True, 100, 99.5, 0.01, None),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.so").write_bytes(b"library")
    (tmp_path / "model.onnx").write_bytes(b"onnx file")
    write_manifest(tmp_path, MANIFEST_FACTS, ["model.so", "model.onnx"])
    return tmp_path


def test_a_manifest_holds_the_figures_the_files_and_the_versions(folder: Path) -> None:
    value: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    assert value["size_bytes"] == 7
    assert (value["peak_memory_bytes"], value["planned_memory"]["total_bytes"]) == (4, 10)
    assert [one["name"] for one in value["files"]] == ["model.so", "model.onnx"]
    assert value["latency_ms"]["cpu-ort"]["p95"] == 1.2
    assert value["latency_ms"]["cpu-ort"]["predicted"] == 1.1
    assert value["latency_ms"]["cpu-ort"]["verdict"] == "stable"
    assert value["accuracy_top1"]["split"] == "test"
    assert value["agreement"]["top1_agreement_percent"] == 99.5
    assert {"hwnas", "python", "onnx", "onnxruntime"} <= set(value["versions"])


def test_files_as_they_were_written_are_right(folder: Path) -> None:
    assert check_files(folder) == []


def test_changed_and_missing_files_are_named(folder: Path) -> None:
    (folder / "model.so").write_bytes(b"another")
    (folder / "model.onnx").unlink()
    assert check_files(folder) == ["model.so is not the file that was exported", "model.onnx is missing"]


def test_a_manifest_of_a_missing_file_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the exported file"):
        write_manifest(tmp_path, MANIFEST_FACTS, ["model.onnx"])
    assert not (tmp_path / MANIFEST).exists()


@pytest.mark.parametrize("text", ["{", "{}", '{"files": [1]}'])
def test_what_is_not_a_manifest_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(InputError, match="manifest"):
        check_files(tmp_path)


def test_a_manifest_names_no_files_elsewhere(folder: Path) -> None:
    value = json.loads((folder / MANIFEST).read_text())
    value["files"][0]["name"] = "../secret"
    (folder / MANIFEST).write_text(json.dumps(value))
    assert check_files(folder) == ["../secret is missing"]
