"""Every reader of files from outside: a valid file, how to spoil it, and what a command does with it."""

import json
import lzma
import tempfile
from pathlib import Path

import numpy as np

from hwnas.spaces import Candidates

from . import mutations as spoil
from .fits import FITS
from .folders import FOLDERS, measurement
from .hardware import HARDWARE
from .pictures import PICTURES
from .reader import Reader, demo, each, printed, written
from .texts import TEXTS
from .weights import WEIGHTS


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
    **WEIGHTS,
    **TEXTS,
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
