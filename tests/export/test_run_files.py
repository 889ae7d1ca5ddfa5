"""The files of a run folder beside the front."""

import json
from importlib import metadata
from pathlib import Path

import pytest

from hwnas.export import manifest
from hwnas.export.run_files import write_environment


def test_a_package_that_is_not_installed_is_left_out_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where onnxruntime-gpu stands in for onnxruntime, the latter has no version."""

    def version(package: str) -> str:
        if package == "onnxruntime":
            raise metadata.PackageNotFoundError(package)
        return "1.0"

    monkeypatch.setattr(manifest, "version", version)
    write_environment(tmp_path, [], ["hwnas", "search"])
    found = json.loads((tmp_path / "environment.json").read_text())
    assert found["command"] == ["hwnas", "search"]
    assert {"hwnas", "python", "platform"} <= found.keys()
    assert found["packages"]["onnxruntime-gpu"] == "1.0"
    assert "onnxruntime" not in found["packages"]
