"""Texts that people and other tools write: CSV, tables, architectures, spaces and devices."""

import io
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.spaces import Candidates

from . import mutations as spoil
from .folders import TINY
from .reader import Reader, demo, each, printed


def _architectures() -> list[dict[str, Any]]:
    space = demo()
    rng = np.random.default_rng(0)
    bits = rng.choice([8, 32], (6, len(space.slots)))
    some = Candidates.of_genomes(space, space.sample_genomes(6, rng), bits, bits)
    return [one.to_json() for one in some.unpack()]


def _measurements() -> dict[str, bytes]:
    import csv

    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["architecture", "latency_ms", "latency_ms:fpga", "note"])
    for number, one in enumerate(_architectures()):
        writer.writerow([json.dumps(one), 1.5 + number, "" if number % 2 else 0.25 * number, "x"])
    return {"m.csv": out.getvalue().encode()}


def _use_measurements(folder: Path) -> None:
    from hwnas.predictors.csvio import metric_columns, read_measurements

    metric_columns(folder / "m.csv")
    read = read_measurements(folder / "m.csv", demo())
    printed(read.values.tolist())
    read.candidates.costs()


def _table() -> dict[str, bytes]:
    from hwnas.profilers.tables import BlockCost, BlockTable, block_key
    from hwnas.profilers.tables.file import table_text

    layers = demo().layers(demo().largest())
    rows = {block_key(layer): BlockCost(0.5 + number, 0.1, "made up") for number, layer in enumerate(layers)}
    return {
        "t.csv": table_text(BlockTable("board", rows, BlockCost(1.0, None, ""), 1, 300.0, "3 %")).encode()
    }


def _use_table(folder: Path) -> None:
    from hwnas.profilers.tables.file import read_table, table_digest

    table = read_table(folder / "t.csv")
    table_digest(table)
    printed([cost.latency_ms for cost in table.rows.values()])


def _use_architectures(folder: Path) -> None:
    from hwnas.cli.options import architecture_rows

    read = Candidates.of_json(demo(), architecture_rows([], folder / "a.jsonl"))
    printed(read.ids)
    read.costs()


def _use_space(folder: Path) -> None:
    from hwnas.spaces import open_space, space_yaml

    space = open_space(str(folder / "s.yaml"))
    printed(space.smallest().to_json())
    space.layers(space.largest())
    space_yaml(space)


def _devices() -> dict[str, bytes]:
    return {
        **_table(),
        "d.yaml": b"name: mine\nruntime: onnxruntime\nthreads: 1\nbatch: 2\nprovider: cpu\nbits: [32, 8]\n"
        b"energy: {meter: auto}\n",
        "e.yaml": b"name: board\nruntime: tvm\nthreads: 2\n"
        b"target: {kind: llvm, mcpu: cortex-a72, triple: aarch64-linux-gnu}\n"
        b"rpc: {host: 127.0.0.1, port: 9190, key: pi}\nbits: 32\n",
        "f.yaml": b"name: paper\nruntime: table\ntable: t.csv\n",
    }


def _use_devices(folder: Path) -> None:
    from hwnas.profilers.registry import get_device, yaml_of_device

    paths = [str(path) for path in sorted(folder.glob("*.yaml"))]
    each(*(partial(one, path) for path in paths for one in (yaml_of_device, get_device)))


TEXTS: dict[str, Reader] = {
    "measurements": Reader(
        _measurements, spoil.any_of(spoil.in_bytes, spoil.in_text, spoil.in_cells), _use_measurements
    ),
    "table": Reader(_table, spoil.any_of(spoil.in_bytes, spoil.in_text, spoil.in_cells), _use_table),
    "architectures": Reader(
        lambda: {"a.jsonl": "".join(json.dumps(one) + "\n" for one in _architectures()).encode()},
        spoil.any_of(spoil.in_bytes, spoil.in_json_lines, spoil.in_text),
        _use_architectures,
    ),
    "space": Reader(
        lambda: {"s.yaml": TINY.encode()},
        spoil.any_of(spoil.in_bytes, spoil.in_text, spoil.in_text),
        _use_space,
    ),
    "device": Reader(_devices, spoil.any_of(spoil.in_bytes, spoil.in_text, spoil.in_text), _use_devices),
}
