"""The manifest: what a folder of exported files holds, and what was measured of it."""

import hashlib
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hwnas.errors import InputError
from hwnas.export.gate import Agreement
from hwnas.files import read_json, write_json
from hwnas.profilers.measurement import Measurement
from hwnas.search.pool import latency_figure
from hwnas.version import __version__

MANIFEST = "manifest.json"
_VERSION = 1
_BLOCK_BYTES = 2**22
# Of what computes and of what chooses; where a GPU is used, ONNX Runtime goes by its other name.
_PACKAGES = (
    *("numpy", "torch", "onnx", "onnxruntime", "onnxruntime-gpu", "apache-tvm"),
    *("pymoo", "scikit-learn", "xgboost"),
)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The facts of one exported model; `write_manifest` adds its files.

    Attributes:
        architecture, bits: JSON forms.
        deploy_on: the device that it should run on.
        accuracy_top1: figures in percent, of the file: value, kind, split, low, high, n.
        accuracy_top1_validate: the figure that the search was guided by, if any.
        latency_ms: figures by device, see `manifest_figure`.
        peak_memory_bytes: activations alive at once, counted on the chain of layers.
        agreement: what the gate found.
        planned_memory: bytes that the compiled artefact lays out for its activations, part by part and
            in all; None where the runtime decides when it runs.
        float_twin: of a quantized model, what the same architecture in floating point takes on its device,
            in the same measuring run: latency_ms, ratio (below 1 is faster), faster_than_twin; None where
            the model is in floating point or the device runs none.
        dataset, supernet: name and digest of where the accuracy comes from.
        calibration: for people.
    """

    id: str
    architecture: Mapping[str, Any]
    bits: Mapping[str, Any]
    deploy_on: str
    accuracy_top1: Mapping[str, Any]
    latency_ms: Mapping[str, Mapping[str, Any]]
    macs: int
    params: int
    bitops: int
    peak_memory_bytes: int
    agreement: Agreement
    planned_memory: Mapping[str, int] | None = None
    float_twin: Mapping[str, Any] | None = None
    energy_mj: Mapping[str, Any] | None = None
    accuracy_top1_validate: Mapping[str, Any] | None = None
    calibration: str | None = None
    dataset: str | None = None
    supernet: str | None = None


def manifest_figure(measurement: Measurement, predicted_ms: float | None = None) -> dict[str, Any]:
    """Returns a measurement as manifests hold it: the figure of `front.json`, and how it was taken."""
    return {
        **latency_figure(measurement, predicted_ms),
        "reasons": list(measurement.reasons),
        "samples": len(measurement.samples_ms),
        "fingerprint": measurement.fingerprint,
        "conditions": dict(measurement.conditions),
        "time": measurement.time,
    }


def write_manifest(folder: Path, manifest: Manifest, files: Sequence[str]) -> Path:
    """Returns the path of `manifest.json`, written beside the files that it lists.

    Args:
        folder: where the files are.
        manifest: the facts.
        files: names in the folder, first the one that is deployed: its size is the model's size.

    Raises:
        InputError: a file is missing, or the folder cannot be written.
    """
    listed = [_file_entry(folder / name) for name in files]
    facts = {**vars(manifest), "agreement": vars(manifest.agreement)}
    path = folder / MANIFEST
    write_json(
        path,
        {
            "version": _VERSION,
            **facts,
            "size_bytes": listed[0]["bytes"],
            "files": listed,
            "versions": versions(),
        },
    )
    return path


def check_files(folder: Path) -> list[str]:
    """Returns what is wrong with the files that a folder's manifest lists; empty if nothing is.

    Raises:
        InputError: there is no manifest, or it is not one of ours.
    """
    value = read_json(folder / MANIFEST, "manifest")
    wrong = []
    try:
        entries = [(str(entry["name"]), str(entry["sha256"])) for entry in value["files"]]
    except (KeyError, TypeError) as error:
        raise InputError(f"{folder / MANIFEST} is not a manifest of this version: {error!r}") from error
    for name, digest in entries:
        if Path(name).name != name or not _is_file(folder / name):
            wrong.append(f"{name} is missing")
        elif _file_entry(folder / name)["sha256"] != digest:
            wrong.append(f"{name} is not the file that was exported")
    return wrong


def versions() -> dict[str, str]:
    """Returns the versions of hwnas, Python and the packages that made the files, of those installed."""
    found = {"hwnas": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _file_entry(path: Path) -> dict[str, Any]:
    digest, size_bytes = hashlib.sha256(), 0
    try:
        with open(path, "rb") as content:
            while block := content.read(_BLOCK_BYTES):
                digest.update(block)
                size_bytes += len(block)
    except OSError as error:
        raise InputError(f"cannot read the exported file {path}: {error.strerror or error}") from error
    return {"name": path.name, "bytes": size_bytes, "sha256": digest.hexdigest()}
