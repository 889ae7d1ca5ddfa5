"""Small files that would fill the memory or keep a reader busy: refused before they do."""

import io
import json
import pickle
import struct
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hwnas.errors import InputError
from hwnas.files import MAX_JSON_BYTES, parse_json
from hwnas.spaces import get_space
from hwnas.supernet import pickle_scan

from .readers import READERS
from .test_named import Asks, lay, refused


@pytest.fixture(autouse=True)
def soon() -> Iterator[None]:
    """CPU time, so that a busy machine does not count."""
    started = time.process_time()
    yield
    assert time.process_time() - started < 10


# --- checkpoints


def _archive(path: Path, pickled: bytes, packing: int = zipfile.ZIP_STORED, **others: bytes) -> None:
    with zipfile.ZipFile(path, "w", packing) as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/version", b"3\n")
        for name, content in others.items():
            archive.writestr(f"archive/data/{name}", content)


def _refused(folder: Path) -> None:
    (folder / "c.checkpoint").write_bytes((folder / "net.pth").read_bytes())
    refused("checkpoint", folder, "damaged")
    refused("training", folder, "not a checkpoint")


def test_a_checkpoint_whose_members_unpack_to_a_thousand_times_their_size(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(2**20)}, tmp_path / "plain.pth")
    with (
        zipfile.ZipFile(tmp_path / "plain.pth") as plain,
        zipfile.ZipFile(tmp_path / "net.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    assert (tmp_path / "net.pth").stat().st_size < 20_000
    _refused(tmp_path)


@pytest.mark.parametrize("module", [b"builtins", b"__builtin__"])
def test_a_checkpoint_that_asks_for_bytes_it_does_not_hold(tmp_path: Path, module: bytes) -> None:
    asked = b"\x80\x02c" + module + b"\nbytearray\n\x8a\x06" + struct.pack("<q", 2**36)[:6] + b"\x85R."
    _archive(tmp_path / "net.pth", asked)
    _refused(tmp_path)
    (tmp_path / "net.pth").write_bytes(asked)
    _refused(tmp_path)


def test_a_checkpoint_of_millions_of_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pickle_scan._MOST_OPERATIONS * 72 < 2**27
    monkeypatch.setattr(pickle_scan, "_MOST_OPERATIONS", 10_000)
    _archive(tmp_path / "net.pth", b"\x80\x02(" + b"]" * 30_000 + b"l.")
    _refused(tmp_path)


def test_a_training_checkpoint_is_looked_through_as_others_are(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    torch.save({"step": Asks(marker)}, tmp_path / "c.checkpoint")
    refused("training", tmp_path, "not a checkpoint")
    (tmp_path / "c.checkpoint").write_bytes(pickle.dumps({"step": Asks(marker)}))
    refused("training", tmp_path, "not a checkpoint")
    assert not marker.exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.update(step=-1),
        lambda state: state.update(step=10**9),
        lambda state: state.update(identity=[]),
        lambda state: state["weights"].popitem(),
        lambda state: state["optimizer"]["adamw"]["param_groups"][0].update(betas=(2.0, None)),
        lambda state: state["optimizer"]["adamw"]["state"][0].update(exp_avg=torch.zeros(3)),
        lambda state: state["optimizer"]["muon"]["state"][0].update(momentum_buffer=None),
        lambda state: state["optimizer"]["muon"]["state"].update({0: None}),
        lambda state: state["optimizer"]["muon"]["state"].update({0: []}),
        lambda state: state["optimizer"]["muon"]["state"].update({999: {}, 998: {"x": 1}}),
    ],
)
def test_a_training_checkpoint_that_would_fail_a_step_later(tmp_path: Path, change: Any) -> None:
    content = lay("training", tmp_path)["c.checkpoint"]
    READERS["training"].use(tmp_path)
    state = torch.load(io.BytesIO(content), weights_only=True)
    change(state)
    torch.save(state, tmp_path / "c.checkpoint")
    refused("training", tmp_path, "to train anew")


# --- predictors


def _node(**changes: tuple[int, float]) -> Any:
    def change(trees: list[dict[str, Any]]) -> None:
        for name, (at, value) in changes.items():
            trees[0][name][at] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _node(left_children=(0, 0)),
        _node(left_children=(1, 0), right_children=(1, 2)),
        _node(left_children=(0, 10**6)),
        _node(left_children=(0, -1)),
        _node(right_children=(0, 2**31)),
        _node(split_indices=(0, 10**6)),
        _node(split_indices=(0, -1)),
        _node(split_type=(0, 1)),
        _node(split_conditions=(0, 1e300)),
        lambda trees: trees[0]["split_conditions"].pop(),
        lambda trees: trees[0].update(categories_nodes=[0]),
        lambda trees: trees[0]["tree_param"].update(num_nodes="3"),
        lambda trees: trees.pop(),
    ],
)
def test_trees_that_are_none(tmp_path: Path, change: Any) -> None:
    value = json.loads(lay("predictor-trees", tmp_path)["p.json"])
    READERS["predictor-trees"].use(tmp_path)
    booster = json.loads(value["regressor"]["booster"])
    change(booster["learner"]["gradient_booster"]["model"]["trees"])
    value["regressor"]["booster"] = json.dumps(booster)
    (tmp_path / "p.json").write_text(json.dumps(value))
    refused("predictor-trees", tmp_path, "malformed")


def test_a_process_on_more_points_than_any_fit_keeps(tmp_path: Path) -> None:
    value = json.loads(lay("predictor", tmp_path)["p.json"])
    for name in ("genomes", "weight_bits", "activation_bits", "targets", "spread"):
        value["regressor"][name] = value["regressor"][name][:1] * 20_000
    (tmp_path / "p.json").write_text(json.dumps(value))
    refused("predictor", tmp_path, "at most")


def test_a_predictor_whose_figures_overflow_says_so(tmp_path: Path) -> None:
    from hwnas.predictors import load_predictor
    from hwnas.spaces import Candidates

    value = json.loads(lay("predictor-physics", tmp_path)["p.json"])
    value["physics"]["prices"] = dict.fromkeys(value["physics"]["prices"], 1e308)
    (tmp_path / "p.json").write_text(json.dumps(value))
    predictor, space = load_predictor(tmp_path / "p.json"), get_space("demo")
    some = Candidates.of_genomes(space, np.zeros((1, len(space.genes)), dtype=np.int64))
    for figures in (predictor.predict, predictor.mean, predictor.upper, predictor.lower):
        with pytest.raises(InputError, match="overflow"):
            figures(some)


# --- texts and models


def test_json_that_takes_many_times_its_size() -> None:
    with pytest.raises(ValueError, match="longer"):
        parse_json("[" + "[]," * (MAX_JSON_BYTES // 3) + "0]")


@pytest.mark.parametrize(
    ("name", "file"),
    [("measurements", "m.csv"), ("table", "t.csv"), ("results", "r.csv"), ("architectures", "a.jsonl")],
)
def test_a_text_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, file: str) -> None:
    for cap in (
        "predictors.csvio._MOST_BYTES",
        "profilers.tables.file.MAX_FILE_BYTES",
        "files.MAX_JSON_BYTES",
    ):
        monkeypatch.setattr(f"hwnas.{cap}", 10_000)
    monkeypatch.setattr("hwnas.cli.options.MAX_JSON_BYTES", 10_000)
    (tmp_path / file).symlink_to("/dev/zero")
    if name == "results":  # opened for adding rows: a device is no file to add to
        from hwnas.predictors.csvio import read_measurements

        with pytest.raises(InputError, match="at most"):
            read_measurements(tmp_path / file, get_space("demo"), "accuracy_top1")
    else:
        refused(name, tmp_path, "at most")


def test_a_journal_of_a_million_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hwnas.search.run_folder._MOST_ENTRIES", 1000)
    lay("resumed", tmp_path)
    (tmp_path / "journal.jsonl").write_bytes(b'{"key":[]}\n' * 1001)
    refused("resumed", tmp_path, "entries")


def test_a_convergence_file_of_a_million_rows(tmp_path: Path) -> None:
    lay("run", tmp_path)
    (tmp_path / "convergence.csv").write_text("evaluations,hypervolume\n" + "1,1\n" * 200_000)
    refused("run", tmp_path, "rows")


@pytest.mark.parametrize("part", [b"\x0a\x00", b"\x2a\x00", b"\x5a\x00", b"\x5a\x06\x12\x04\x0a\x02\x12\x00"])
def test_an_onnx_file_of_empty_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: bytes) -> None:
    """Nodes, tensors, inputs and shapes: a million of each would take a few megabytes."""
    monkeypatch.setattr("hwnas.export.onnx_scan.MAX_PARTS", 10_000)
    graph = part * 10_001

    def sized(content: bytes) -> bytes:
        size, out = len(content), b""
        while size > 127:
            out, size = out + bytes([size & 127 | 128]), size >> 7
        return out + bytes([size]) + content

    (tmp_path / "m.onnx").write_bytes(b"\x08\x08" + b"\x3a" + sized(graph))
    refused("onnx", tmp_path, "more parts")


@pytest.mark.parametrize("name", ["qonnx", "int4"])
def test_other_dialects_of_onnx_are_no_network_that_can_be_verified(tmp_path: Path, name: str) -> None:
    from hwnas.export.formats import _DIALECTS
    from hwnas.export.onnx import export_onnx, read_onnx
    from hwnas.spaces import Candidates, random_network

    lay("onnx", tmp_path)
    metadata = dict(read_onnx(tmp_path / "m.onnx").metadata)
    space = get_space("demo")
    network = random_network(Candidates.of_architectures(space, [space.smallest()], 4).layers(0))
    export_onnx(network, tmp_path / "m.onnx", metadata, _DIALECTS[f"onnx-{name}" if name == "int4" else name])
    refused("onnx", tmp_path)


@pytest.mark.parametrize("value", [1e-320, 1e300])
def test_a_score_that_overflows_says_so(value: float) -> None:
    from hwnas.predictors import Prediction, score

    one = np.array([1.0, 2.0])
    with pytest.raises(InputError, match="too far apart"):
        score(Prediction(one, one, one), np.array([value, 1.0]))
