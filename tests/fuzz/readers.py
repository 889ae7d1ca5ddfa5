"""Every reader of files from outside: a valid file, how to spoil it, and what a command does with it."""

import io
import json
import lzma
import pickle
import tempfile
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.spaces import Candidates

from . import mutations as spoil
from .fits import FITS
from .folders import FOLDERS, TINY, measurement, tiny_space
from .hardware import HARDWARE
from .mutations import Rng
from .pictures import PICTURES
from .reader import Reader, demo, each, printed, written

# --- supernets and checkpoints


def _supernet() -> dict[str, bytes]:
    from dataclasses import replace

    from hwnas.supernet import Supernet, SupernetInfo, save_supernet

    plain = SupernetInfo(
        space="tiny",
        num_classes=2,
        image_sizes=(8,),
        recipe={"name": "sandwich", "epochs": 2},
        data="digits",
        data_fingerprint="f",
        metrics={"accuracy": 97.5},
    )
    tuned = replace(plain, bits=(4, 8), learned_steps=True, start={"digest": "d", "recipe": {}})
    files = {}
    for name, info in (("net.safetensors", plain), ("tuned.safetensors", tuned)):
        made = Supernet(tiny_space(), info=info)
        files |= written(name, lambda path, made=made: save_supernet(made, path))  # type: ignore[misc]
    return files


def _use_supernet(folder: Path) -> None:
    from hwnas.supernet import load_supernet

    def one(path: Path) -> None:
        supernet = load_supernet(path)
        assert supernet.info is not None
        printed(asdict(supernet.info))
        supernet.digest()
        supernet.extract(supernet.space.largest())

    each(*(partial(one, path) for path in sorted(folder.glob("*.safetensors"))))


def _checkpoint() -> dict[str, bytes]:
    import torch

    from hwnas.supernet import official

    wanted = official._Wanted("ofa-proxyless-w1.3", 2)
    # One storage for all: what is wrong with a file shows in its names and shapes.
    zeros = torch.zeros(max(int(np.prod(shape)) for shape in wanted.shapes.values()), dtype=torch.float16)
    state = {}
    for bare, shape in wanted.shapes.items():
        if not bare.endswith(official.COUNTER):
            state[wanted.keys[bare]] = zeros[: int(np.prod(shape))].view(shape)
    out = io.BytesIO()
    torch.save({"state_dict": state}, out)
    return {"net.pth": out.getvalue()}


def _use_checkpoint(folder: Path) -> None:
    from hwnas.supernet import official

    # What a space wants does not depend on the file; made anew each time it would take 0.3 s.
    if not hasattr(official._Wanted, "cache_info"):
        official._Wanted = cache(official._Wanted)  # type: ignore[misc, assignment]
    read = official.read_official(folder / "net.pth", "ofa-proxyless-w1.3")
    assert read.info is not None
    printed(asdict(read.info))


def _pickle_mutation(content: bytes, rng: Rng) -> bytes:
    """A checkpoint of the older form, one stream of pickles, spoilt; or one that asks for code."""
    import torch

    choice = int(rng.integers(0, 4))
    if choice == 0:
        return pickle.dumps({"state_dict": _Asks(str(rng.choice(["os", "builtins", "torch", "subprocess"])))})
    old, new = io.BytesIO(), io.BytesIO()
    state = {"state_dict": {"a.weight": torch.zeros(3, 4), "b": torch.ones(2)}}
    torch.save(state, old, _use_new_zipfile_serialization=choice != 1)
    new.write(
        spoil.in_zip_member(old.getvalue(), rng) if choice != 1 else spoil.in_bytes(old.getvalue(), rng)
    )
    return new.getvalue()


class _Asks:
    def __init__(self, module: str) -> None:
        self.module = module

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return (os.system, ("touch climbed",))


# --- texts


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


# --- ONNX, run folders, stores, packs, predictors


def _onnx() -> dict[str, bytes]:
    from hwnas.export.claims import Claims
    from hwnas.export.onnx import export_onnx
    from hwnas.spaces import random_network

    space = demo()
    candidates = Candidates.of_architectures(space, [space.smallest()], 8)
    (one,) = candidates.unpack()
    claims = Claims(
        architecture=one.architecture.to_json(),
        bits=one.bits.to_json(),
        dataset="digits",
        accuracy_top1={"value": 90.0, "split": "test", "n": 10},
        device="cpu-ort",
        device_fingerprint="f",
        latency_ms={"value": 1.0, "canary_reference_ms": 2.0},
        artefact="model.so",
    )
    network = random_network(candidates.layers(0))
    return written("m.onnx", lambda path: export_onnx(network, path, claims.to_metadata()))


def _use_onnx(folder: Path) -> None:
    from hwnas.export.gate import file_logits
    from hwnas.export.verify import _claimed_canary_ms, open_claimed
    from hwnas.profilers.registry import get_device

    model = open_claimed(folder / "m.onnx")
    printed(vars(model.claims))
    _claimed_canary_ms(model.claims, get_device("cpu-ort"))
    size = model.size_px
    file_logits(model.file.content, 1)(np.zeros((1, 3, size, size), np.float32))


def _run_folder() -> dict[str, bytes]:
    from tests.report.conftest import make_run

    with tempfile.TemporaryDirectory() as folder:
        run = make_run(Path(folder) / "run", 2)
        files = {str(path.relative_to(run)): path.read_bytes() for path in run.rglob("*.*") if path.is_file()}
    files.pop(next(name for name in files if name.endswith(".onnx")))
    rows = [{"key": ["test", "ab12"], "value": 97.5}, {"key": ["file", "cpu", "ab12"], **measurement()}]
    files["journal.jsonl"] = "".join(json.dumps(row) + "\n" for row in rows).encode()
    return files


def _use_run_folder(folder: Path) -> None:
    """What `hwnas report` and `hwnas export` read, each by itself, and where files would go."""
    from hwnas.export.select import CHOICES, select
    from hwnas.profilers.measurement import Measurement
    from hwnas.report import write_report
    from hwnas.search.front import read_front, write_front
    from hwnas.search.run_folder import Journal

    def export() -> None:
        front = read_front(folder)
        for choice in CHOICES:
            select(front.members, [choice])
        for member in front.members:
            place = (folder / "models" / member.id).resolve()
            assert place.parent == (folder / "models").resolve(), "a file would be written elsewhere"
            Candidates.of_json(demo(), [member.candidate_json])
            assert isinstance(member.quantized, bool)
        printed(front.to_json())
        out = folder / "out"
        out.mkdir()
        write_front(front, out)

    def journal() -> None:
        opened = Journal(folder / "journal.jsonl")
        entry = opened.get("file", "cpu", "ab12")
        opened.close()
        if entry is not None:
            printed(Measurement.of_json(entry).to_json())

    each(export, journal, lambda: write_report(folder))


def _store() -> dict[str, bytes]:
    from dataclasses import replace

    from hwnas.profilers import Store
    from hwnas.profilers.machine.fingerprint import Fingerprint
    from hwnas.profilers.measurement import Measurement

    def write(path: Path) -> None:
        kind = Fingerprint({"cpu": "any", "threads": 1})
        one = replace(Measurement.of_json(measurement()), fingerprint=kind.digest)
        with Store(path) as store:
            store.add([replace(one, subject=f"s{number}") for number in range(8)], kind)
            store.keep_canary(kind.digest, "canary", 1.0)

    return written("m.sqlite", write)


def _use_store(folder: Path) -> None:
    from hwnas.profilers import Store
    from hwnas.profilers.machine.fingerprint import Fingerprint

    digest = Fingerprint({"cpu": "any", "threads": 1}).digest
    with Store(folder / "m.sqlite") as store:
        printed([dict(one.facts) for one in store.fingerprints()])
        found = [*store.of_device(digest), *store.known(digest, ["s1", "s2"]).values()]
        printed([one.at_reference(0.9).to_json() for one in found])
        printed(store.canary_reference_ms(digest, "canary"))


def _pack() -> dict[str, bytes]:
    from hwnas.profilers.tvm.kernels.packs import SHIPPED

    value = json.loads(lzma.decompress(sorted(SHIPPED.glob("demo.*.json.xz"))[0].read_bytes()))
    value["kernels"] = dict(list(value["kernels"].items())[:3])
    return {"p.json.xz": lzma.compress(json.dumps(value).encode(), preset=0)}


def _use_pack(folder: Path) -> None:
    from hwnas.profilers.tvm.kernels.packs import read_pack

    pack = read_pack(folder / "p.json.xz")
    printed([pack.id, pack.trials, [one.best_us for one in pack.schedules.values()]])


READERS: dict[str, Reader] = {
    "supernet": Reader(
        _supernet, spoil.any_of(spoil.in_bytes, spoil.in_safetensors_header), _use_supernet, apart=True
    ),
    "checkpoint": Reader(
        _checkpoint, spoil.any_of(spoil.in_bytes, spoil.in_zip_member, _pickle_mutation), _use_checkpoint
    ),
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
    "onnx": Reader(
        _onnx, spoil.any_of(spoil.in_bytes, spoil.in_onnx_fields, spoil.in_onnx_fields), _use_onnx
    ),
    "run": Reader(
        _run_folder,
        spoil.any_of(spoil.in_bytes, spoil.in_json, spoil.in_json, spoil.in_json_lines, spoil.in_text),
        _use_run_folder,
    ),
    "store": Reader(
        _store, spoil.any_of(spoil.in_bytes, spoil.in_sqlite_rows, spoil.in_sqlite_rows), _use_store
    ),
    "pack": Reader(_pack, spoil.any_of(spoil.in_bytes, spoil.in_xz_json, spoil.in_xz_json), _use_pack),
    **FOLDERS,
    **FITS,
    **PICTURES,
    **HARDWARE,
}
