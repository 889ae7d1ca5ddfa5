"""Verification: a file's claims, measured again."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx

from hwnas.errors import InputError
from hwnas.export.accuracy import Batches, accuracy
from hwnas.export.claims import Claims, figure_value
from hwnas.export.gate import file_logits
from hwnas.export.manifest import MANIFEST, check_files
from hwnas.export.onnx import OnnxFile, read_onnx
from hwnas.profilers import Device, Measurement, Protocol
from hwnas.profilers.onnx.model import OUTPUT, onnx_model
from hwnas.spaces import (
    Candidates,
    Layer,
    Space,
    get_space,
    random_network,
    space_of_definition,
    subject_key,
)

# A machine's own speed changes by more than the interval of a median from one day to the next.
LATENCY_TOLERANCE_PERCENT = 20.0
# Images whose two best classes tie to the last digit may fall the other way on another processor.
ACCURACY_TOLERANCE_POINTS = 0.5


@dataclass(frozen=True)
class Check:
    """One claim against what was found.

    Attributes:
        what: the claim: `graph`, `files`, `accuracy_top1` or `latency_ms`.
        claimed, found: figures, None where there is none.
        passed: None where the claim could not be checked.
        note: for people: what was compared, or why not.
    """

    what: str
    claimed: float | None
    found: float | None
    passed: bool | None
    note: str


@dataclass(frozen=True)
class Verification:
    """The checks of one file; it passes when none failed and at least one was made."""

    path: Path
    checks: tuple[Check, ...]
    measurement: Measurement | None = None

    @property
    def passed(self) -> bool:
        """Whether the file keeps what it claims, as far as it could be checked."""
        made = [check.passed for check in self.checks if check.passed is not None]
        return bool(made) and all(made)

    def to_json(self) -> dict[str, Any]:
        """Returns the checks as JSON."""
        return {
            "file": str(self.path),
            "passed": self.passed,
            "checks": [asdict(check) for check in self.checks],
        }


@dataclass(frozen=True, eq=False)
class ClaimedModel:
    """A file whose graph is the one its claims describe, so that it is safe to run.

    Attributes:
        space: the one of the claimed candidate.
        layers: its chain.
    """

    file: OnnxFile
    claims: Claims
    space: Space
    layers: tuple[Layer, ...]

    @property
    def size_px(self) -> int:
        """The side of the images it takes."""
        return self.layers[0].in_size_px


def open_claimed(path: Path) -> ClaimedModel:
    """Returns a model that `hwnas export` wrote, read safely; nothing has been run.

    Raises:
        InputError: as `read_onnx`; no claims, or malformed ones; or a graph that is not the one of
            the claimed architecture and bits.
    """
    file = read_onnx(path)
    claims = Claims.of_metadata(file.metadata, str(path))
    space = _claimed_space(file, claims)
    layers = Candidates.of_json(space, [{**claims.architecture, "bits": claims.bits}]).layers(0)
    difference: str | None = "it is too small to hold its weights"
    # A claim alone must not fill the memory.
    if sum(op.weights * layer.weight_bits // 8 for layer in layers for op in layer.ops) < len(file.content):
        difference = _difference(file.model.graph, onnx_model(random_network(layers)).graph)
    if difference:
        raise InputError(f"{path} is not the network its metadata claims: {difference}")
    return ClaimedModel(file, claims, space, layers)


def verify_model(
    model: ClaimedModel,
    device: Device | None,
    batches: Callable[[str, int], Batches] | None,
    protocol: Protocol | None = None,
) -> Verification:
    """Returns what came of measuring a file's claims again.

    Where its manifest lies beside it, the files listed there must be those that were exported, or
    no latency is measured. The latency may be up to 20 % above the claimed one and must come from
    a device with the claimed fingerprint to be compared; elsewhere it is measured and told. The
    accuracy may be half a point off. Where the claim is about a compiled library beside the file,
    that library is loaded, which runs its code: verify only what you trust.

    Args:
        model: from `open_claimed`.
        device: to measure on; None measures no latency.
        batches: gives images and labels of a split at an image size; None measures no accuracy.
        protocol: how to measure.

    Raises:
        InputError: the artefact that was measured is not there, or the manifest is none.
        MeasurementError: the device failed.
    """
    checks = [Check("graph", None, None, True, "the graph is that of the claimed architecture and bits")]
    files = _check_files(model.file.path.parent)
    checks += [files] if files else []
    if batches is not None:
        checks.append(_check_accuracy(model, batches))
    measurement = None
    if device is not None and (files is None or files.passed):
        subject = subject_key(model.layers)
        artefacts = {subject: _artefact(model, device)}
        (measurement,) = device.measure_artefacts(
            artefacts, protocol or Protocol(), canary_reference_ms=_claimed_canary_ms(model.claims, device)
        )
        checks.append(_check_latency(model.claims, device, measurement))
    return Verification(model.file.path, tuple(checks), measurement)


def _check_files(folder: Path) -> Check | None:
    """Whether files were changed since they were exported; None where no manifest says."""
    if not (folder / MANIFEST).is_file():
        return None
    wrong = check_files(folder)
    note = "; ".join(wrong) or f"the files that {MANIFEST} lists are those that were exported"
    return Check("files", None, None, not wrong, note)


def _check_accuracy(model: ClaimedModel, batches: Callable[[str, int], Batches]) -> Check:
    claimed = model.claims.accuracy_top1
    split = str(claimed.get("split", "test")) if claimed else "test"
    logits_of = file_logits(model.file.content)
    n = claimed.get("n") if claimed else None
    limit = n if isinstance(n, int) and n > 0 else None
    found = accuracy(logits_of, _first(batches(split, model.size_px), limit))
    note = f"top-1 on {found.n} images of the {split} split, percent"
    if claimed is None:
        return Check("accuracy_top1", None, found.percent, None, f"{note}; the file claims none")
    value = figure_value(claimed, f"{model.file.path}: hwnas.accuracy_top1")
    passed = abs(found.percent - value) <= ACCURACY_TOLERANCE_POINTS
    return Check("accuracy_top1", value, found.percent, passed, note)


def _first(batches: Batches, limit: int | None) -> Batches:
    """Yields the first `limit` images with their labels, those that a claim is about; all for None."""
    for images, labels in batches:
        yield (images, labels) if limit is None else (images[:limit], labels[:limit])
        if limit is not None:
            limit -= len(labels)
            if limit <= 0:
                return


def _check_latency(claims: Claims, device: Device, measurement: Measurement) -> Check:
    found = measurement.latency_ms
    note = f"median on {device.name}, {measurement.verdict}"
    if claims.latency_ms is None or claims.device != device.name:
        return Check("latency_ms", None, found, None, f"{note}; the file claims none for this device")
    value = figure_value(claims.latency_ms, "hwnas.latency_ms")
    if claims.device_fingerprint != measurement.fingerprint:
        return Check(
            "latency_ms", value, found, None, f"{note}; the claim is of another machine or runtime version"
        )
    limit = value * (1 + LATENCY_TOLERANCE_PERCENT / 100)
    return Check("latency_ms", value, found, found <= limit, f"{note}; at most {limit:.4g} passes")


def _claimed_canary_ms(claims: Claims, device: Device) -> float | None:
    """The canary's time that a claim about this device was corrected to, so that both tell one speed."""
    figure = claims.latency_ms or {}
    if claims.device != device.name or figure.get("canary_reference_ms") is None:
        return None
    return figure_value(figure, "hwnas.latency_ms", "canary_reference_ms") or None


def _artefact(model: ClaimedModel, device: Device) -> Path:
    """The file that the device runs: the one measured, where the claim is about this device."""
    path = model.file.path
    if model.claims.device != device.name or model.claims.artefact in (None, path.name):
        if not device.runs_onnx:
            raise InputError(
                f"{path} holds no artefact for device '{device.name}'; verify it on "
                f"{model.claims.device or 'cpu-ort'} or cpu-ort"
            )
        device.check(model.layers)
        return path
    artefact = path.parent / str(model.claims.artefact)
    if not artefact.is_file():
        raise InputError(f"{path} claims a latency of {artefact.name}, which is not beside it; copy it there")
    return artefact


def _claimed_space(file: OnnxFile, claims: Claims) -> Space:
    name = claims.architecture.get("space")
    if not isinstance(name, str):
        raise InputError(f"{file.path}: hwnas.architecture must name its space, but got {name!r}")
    (output, *others) = file.model.graph.output
    shape = output.type.tensor_type.shape.dim
    if others or output.name != OUTPUT or len(shape) != 2 or not 2 <= shape[1].dim_value <= 100_000:
        raise InputError(f"{file.path} must have one output, '{OUTPUT}' of [batch, classes]")
    if claims.space_definition is None:
        return get_space(name, shape[1].dim_value)
    return space_of_definition(claims.space_definition, shape[1].dim_value)


def _difference(found: onnx.GraphProto, expected: onnx.GraphProto) -> str | None:
    """What two graphs differ in, weights and scales aside; None where it is nothing."""
    if list(found.input) != list(expected.input) or list(found.output) != list(expected.output):
        return "inputs or outputs differ"
    if found.sparse_initializer or len(found.node) != len(expected.node):
        return f"it has {len(found.node)} nodes, not {len(expected.node)}"
    for one, other in zip(found.node, expected.node, strict=True):
        if one != other:
            return f"node '{one.name}' differs"
    if _shapes(found) != _shapes(expected):
        return "its constants have other names, types or shapes"
    return None


def _shapes(graph: onnx.GraphProto) -> Mapping[str, tuple[int, tuple[int, ...]]]:
    return {tensor.name: (tensor.data_type, tuple(tensor.dims)) for tensor in graph.initializer}
