"""Folders that commands resume, check or add to: runs, training, results, manifests, block lists."""

import io
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.spaces import Candidates

from . import mutations as spoil
from .reader import Reader, demo, each, printed, written

TINY = """
name: tiny
image_sizes: [8]
stem: {width: 8}
stages:
  - {width: 8, depth: [1, 2], kernel: [3, 5], expand: [1, 2], stride: 2, se: true}
head: {width: 8}
num_classes: 2
"""


def tiny_space() -> Any:
    from hwnas.spaces import space_of_definition
    from hwnas.spaces.yaml_text import parse_yaml

    return space_of_definition(parse_yaml(TINY, "tiny")[0])


def measurement() -> dict[str, Any]:
    """A measurement as journals and stores hold it."""
    from hwnas.profilers.measurement import Measurement

    return Measurement(
        subject="s",
        device="cpu",
        fingerprint="f",
        kind="measured",
        latency_ms=1.5,
        p95_ms=2.0,
        ci_low_ms=1.4,
        ci_high_ms=1.6,
        samples_ms=(1.4, 1.5, 1.6),
        time="2026",
        canary_ms=(1.0, 1.1),
        canary_reference_ms=1.0,
        energy={"source": "measured"},
    ).to_json()


# --- what a search resumes

_DEFINITION = {"name": "mine", "runtime": "onnxruntime", "threads": 1}


def _config() -> dict[str, Any]:
    settings = {"target_latency_ms": 5.0, "bits": [32, 8], "seed": 0, "soft": None}
    return {
        "supernet": "ab12",
        "data": "digits",
        "settings": settings,
        "device_definitions": {"mine": _DEFINITION},
    }


def _resumed() -> dict[str, bytes]:
    rows = [
        {"key": ["accuracy", "validate", "ab12"], "accuracy_top1": 97.5, "standard_error": 0.5, "n": 100},
        {"key": ["latency", "mine", "ab12"], **measurement()},
        {"key": ["test", "ab12"], "value": 97.5},
    ]
    return {
        "config.json": json.dumps(_config()).encode(),
        "journal.jsonl": "".join(json.dumps(row) + "\n" for row in rows).encode(),
    }


def _use_resumed(folder: Path) -> None:
    """What `hwnas search` does before its first step, and the device that `hwnas export` opens."""
    from hwnas.cli.export import _field
    from hwnas.files import read_json
    from hwnas.profilers.measurement import Measurement
    from hwnas.profilers.registry import device_of_definition
    from hwnas.search.run_folder import run_folder

    def resume() -> None:
        with run_folder(folder, _config()) as journal:
            known = journal.get("accuracy", "validate", "ab12") or {}
            figures = [known.get(name, 0.0) for name in ("accuracy_top1", "standard_error")]
            printed(np.array(figures, dtype=np.float64).tolist())
            if (entry := journal.get("latency", "mine", "ab12")) is not None:
                printed(Measurement.of_json(entry).to_json())

    def export() -> None:
        config = read_json(folder / "config.json", "run configuration")
        printed([_field(config, name, folder) for name in ("supernet", "data")])
        definitions = config.get("device_definitions") or {}
        if isinstance(definitions, dict) and isinstance(definitions.get("mine", {}), dict):
            printed(device_of_definition(definitions.get("mine", _DEFINITION), demo()).name)

    each(resume, export)


# --- what training resumes


def _trainer() -> Any:
    from hwnas.data import ArraySplit, Dataset
    from hwnas.supernet import adjusted, preset
    from hwnas.supernet.training.trainer import Trainer

    def split(_: str) -> ArraySplit:
        pixels = np.zeros((4, 8, 8, 3), np.uint8)
        labels = np.array([0, 1, 0, 1])
        return ArraySplit(labels=labels, mean=(0.5,) * 3, std=(0.5,) * 3, pixels=pixels)

    data = Dataset(
        name="made up",
        class_names=("a", "b"),
        canvas_px=8,
        fingerprint="f",
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        make_split=split,
    )
    return Trainer(tiny_space(), data, adjusted(preset("sandwich", tiny_space(), 2, None), {"subnets": 0}))


_IDENTITY = {"space": "tiny", "data_fingerprint": "f", "recipe": {"name": "sandwich"}, "start": None}


def _training() -> dict[str, bytes]:
    import torch

    from hwnas.supernet.training.checkpoint import save_checkpoint

    trainer = _trainer()
    trainer.advance()
    files = written("c.checkpoint", lambda path: save_checkpoint(path, trainer.checkpoint(_IDENTITY)))
    # torch takes the name of the file, which is another each time, into its archive.
    out = io.BytesIO()
    torch.save(torch.load(io.BytesIO(files["c.checkpoint"]), weights_only=True), out)
    return {"c.checkpoint": out.getvalue()}


def _use_training(folder: Path) -> None:
    from hwnas.supernet.training.checkpoint import load_checkpoint

    found = load_checkpoint(folder / "c.checkpoint", _IDENTITY)
    assert found is not None
    trainer = _trainer()
    trainer.restore(found)
    printed(trainer.step)
    if trainer.step < trainer.steps:
        printed(str(trainer.advance()))
    trainer.trained()


def _named(seed: bytes, rng: spoil.Rng) -> bytes:
    """A checkpoint whose parts, by name, are left out, of another type or of another shape."""
    import torch

    state = torch.load(io.BytesIO(seed), weights_only=True)
    some = [None, 0, -1, 2**70, "x", [], {}, float("nan"), torch.zeros(3), torch.zeros(0, dtype=torch.int8)]
    holder = state
    for _ in range(int(rng.integers(1, 5))):
        inner = [part for part in holder.values() if isinstance(part, dict) and part]
        if not inner or rng.random() < 0.3:
            break
        holder = inner[int(rng.integers(0, len(inner)))]
    names = list(holder)
    name = names[int(rng.integers(0, len(names)))]
    if rng.random() < 0.3:
        del holder[name]
    else:
        holder[name] = some[int(rng.integers(0, len(some)))]
    out = io.BytesIO()
    torch.save(state, out)
    return out.getvalue()


# --- results, manifests and block lists

_ROWS = 4


def _conditions() -> Any:
    from hwnas.export.results import Conditions

    return Conditions(n=100, split="validate", supernet="s", data="d", calibrate_images=50)


def _results() -> dict[str, bytes]:
    from hwnas.export.results import Results

    space = demo()
    some = Candidates.of_genomes(space, space.sample_genomes(_ROWS, np.random.default_rng(0)))

    def write(path: Path) -> None:
        with Results(path, _conditions()) as results:
            for one in some.unpack():
                architecture = {"id": one.id, "architecture": one.to_json()}
                figures = {"accuracy_top1": 97.5, "standard_error": 0.5}
                results.add({**architecture, **figures, **vars(_conditions())})

    return written("r.csv", write)


def _use_results(folder: Path) -> None:
    from hwnas.export.results import Results
    from hwnas.predictors.csvio import read_measurements

    def go_on() -> None:
        with Results(folder / "r.csv", _conditions()) as results:
            printed(results.known)

    each(
        lambda: printed(read_measurements(folder / "r.csv", demo(), "accuracy_top1").values.tolist()),
        go_on,
    )


def _manifest() -> dict[str, bytes]:
    from hashlib import sha256

    entry = {"name": "model.onnx", "bytes": 3, "sha256": sha256(b"abc").hexdigest()}
    return {"manifest.json": json.dumps({"version": 1, "files": [entry]}).encode(), "model.onnx": b"abc"}


def _use_manifest(folder: Path) -> None:
    from hwnas.export.manifest import check_files

    printed(check_files(folder))


def _simulated() -> Any:
    from hwnas.profilers.registry import get_device

    return get_device("fpga-zcu104-dpu", demo())


@cache
def _network() -> Any:
    from hwnas.spaces import random_network

    space = demo()
    return random_network(Candidates.of_architectures(space, [space.smallest()], 8).layers(0))


def _blocks() -> dict[str, bytes]:
    return written("blocks.json", lambda path: _simulated().build(_network(), path.parent))


def _use_blocks(folder: Path) -> None:
    from hwnas.errors import InputError
    from hwnas.profilers import Protocol

    def measure() -> None:
        with _simulated().meter(Protocol()) as meter:
            found = meter.measure({_network().key: folder / "blocks.json"})
        printed([one.to_json() for one in found.measurements])
        if found.failures:
            raise InputError(found.failures[0].reason)

    def breakdown() -> None:
        with _simulated().meter(Protocol()) as meter:
            printed(meter.breakdown(folder / "blocks.json"))

    each(measure, breakdown)


FOLDERS: dict[str, Reader] = {
    "resumed": Reader(
        _resumed, spoil.any_of(spoil.in_bytes, spoil.in_json, spoil.in_json_lines), _use_resumed
    ),
    "training": Reader(
        _training, spoil.any_of(spoil.in_bytes, spoil.in_zip_member, _named, _named), _use_training
    ),
    "results": Reader(
        _results, spoil.any_of(spoil.in_bytes, spoil.in_text, spoil.in_cells, spoil.in_cells), _use_results
    ),
    "manifest": Reader(_manifest, spoil.any_of(spoil.in_bytes, spoil.in_json), _use_manifest),
    "blocks": Reader(_blocks, spoil.any_of(spoil.in_bytes, spoil.in_json, spoil.in_json), _use_blocks),
}
