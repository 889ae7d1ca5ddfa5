"""Hostile files by name: each is refused in one line, quickly, and nothing of it runs."""

import io
import json
import pickle
import sqlite3
import struct
import tarfile
import time
import zipfile
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch

from hwnas.errors import InputError
from hwnas.files import MAX_FILE_BYTES, parse_json, read_bytes
from hwnas.spaces import get_space
from tests.report.conftest import make_run

from .readers import READERS

_SOON_CPU_S = 10.0


class Asks:
    """An object whose pickle asks for a call when it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.marker,))


@pytest.fixture
def soon() -> Any:
    """Fails a test whose file keeps the process busy: CPU time, so that a busy machine does not count."""
    started = time.process_time()
    yield
    assert time.process_time() - started < _SOON_CPU_S


def refused(name: str, folder: Path, says: str = "") -> None:
    with pytest.raises(InputError) as caught:
        READERS[name].use(folder)
    message = str(caught.value)
    assert says in message
    assert len(message) < 2100


def lay(name: str, folder: Path) -> dict[str, bytes]:
    files = READERS[name].valid()
    for file, content in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(content)
    return files


# --- checkpoints and supernets


@pytest.mark.parametrize("archive", [True, False])
def test_a_pickle_in_a_checkpoint_does_not_run(tmp_path: Path, archive: bool) -> None:
    marker = tmp_path / "ran"
    torch.save({"state_dict": Asks(marker)}, tmp_path / "net.pth", _use_new_zipfile_serialization=archive)
    refused("checkpoint", tmp_path, "would run code")
    assert not marker.exists()


def test_a_plain_pickle_is_neither_a_checkpoint_nor_a_supernet(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    for file in ("net.pth", "net.safetensors"):
        (tmp_path / file).write_bytes(pickle.dumps({"state_dict": Asks(marker)}))
    refused("checkpoint", tmp_path)
    refused("supernet", tmp_path, "pickle")
    assert not marker.exists()


def test_a_checkpoint_of_tuples_in_tuples_is_refused_soon(tmp_path: Path, soon: None) -> None:
    stream = io.BytesIO()
    stream.write(b"\x80\x02}q\x00)q\x01")  # a dict, and the innermost tuple
    for number in range(60):
        stream.write(b"h" + bytes([number + 1]) + b"h" + bytes([number + 1]) + b"\x86q" + bytes([number + 2]))
    stream.write(b"K\x01s.")  # the outermost one is a key: it is hashed
    with zipfile.ZipFile(tmp_path / "net.pth", "w") as archive:
        archive.writestr("archive/data.pkl", stream.getvalue())
        archive.writestr("archive/version", b"3\n")
    refused("checkpoint", tmp_path, "damaged")


def test_a_checkpoint_that_asks_for_a_name_without_end_is_refused_soon(tmp_path: Path, soon: None) -> None:
    with zipfile.ZipFile(tmp_path / "net.pth", "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02c" + b"x" * 80_000 + b"\ny\n.")
        archive.writestr("archive/version", b"3\n")
    refused("checkpoint", tmp_path, "damaged")


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(2)}, tmp_path / "net.pth")
    with zipfile.ZipFile(tmp_path / "net.pth", "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(archive.namelist()[0], b"\x80\x02}.")
    refused("checkpoint", tmp_path, "damaged")


def test_paths_that_climb_out_of_an_archive_write_nothing(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    with zipfile.ZipFile(inner / "net.pth", "w") as archive:
        archive.writestr("../../climbed/data.pkl", pickle.dumps({}, 2))
        archive.writestr("../../climbed/version", b"3\n")
    refused("checkpoint", inner)
    with tarfile.open(inner / "net.pth", "w") as tar:  # torch's oldest form
        for name in ("storages", "tensors", "pickle", "../../climbed"):
            tar.addfile(tarfile.TarInfo(name), io.BytesIO(b""))
    refused("checkpoint", inner, "damaged")
    assert not (tmp_path / "climbed").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]


def test_a_checkpoint_that_claims_more_than_it_holds(tmp_path: Path) -> None:
    one = torch.zeros(1)
    state = {"classifier.linear.weight": one.as_strided((2**40, 2), (0, 0))}
    torch.save(state, tmp_path / "net.pth")
    refused("checkpoint", tmp_path, "dense")


@pytest.mark.parametrize("claimed", [2**40, 2**63, 100])
def test_a_safetensors_header_that_claims_terabytes(tmp_path: Path, claimed: int) -> None:
    for file in ("net.safetensors", "net.pth"):
        (tmp_path / file).write_bytes(struct.pack("<Q", claimed) + b"{" * 50)
    refused("supernet", tmp_path)
    refused("checkpoint", tmp_path)


def test_a_safetensors_tensor_that_claims_terabytes(tmp_path: Path) -> None:
    content = lay("supernet", tmp_path)["net.safetensors"]
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    name = next(name for name in header if name != "__metadata__")
    header[name] |= {"shape": [2**40], "data_offsets": [0, 2**42]}
    made = json.dumps(header).encode()
    (tmp_path / "net.safetensors").write_bytes(struct.pack("<Q", len(made)) + made + content[8 + size :])
    refused("supernet", tmp_path)


def test_a_supernet_of_more_classes_than_memory_has_bytes(tmp_path: Path) -> None:
    content = lay("supernet", tmp_path)["net.safetensors"]
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"]["num_classes"] = str(10**18)
    made = json.dumps(header).encode()
    (tmp_path / "net.safetensors").write_bytes(struct.pack("<Q", len(made)) + made + content[8 + size :])
    refused("supernet", tmp_path, "classes")


# --- ONNX


def test_onnx_data_in_another_file_is_not_opened(tmp_path: Path) -> None:
    content = lay("onnx", tmp_path)["m.onnx"]
    for location in ("../../../etc/passwd", "/etc/passwd", "beside.bin"):
        model = onnx.load_model_from_string(content)
        tensor = model.graph.initializer[0]
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)
        (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
        refused("onnx", tmp_path, "hold all its weights itself")


def test_an_onnx_function_that_takes_the_name_of_an_operator_is_refused(tmp_path: Path) -> None:
    model = onnx.load_model_from_string(lay("onnx", tmp_path)["m.onnx"])
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    opset = [onnx.helper.make_opsetid("", model.opset_import[0].version)]
    model.functions.append(onnx.helper.make_function("", "Relu", ["x"], ["y"], [node], opset))
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    refused("onnx", tmp_path, "function")


@pytest.mark.parametrize("text", [b"hwnas.bits", b"DequantizeLinear"])
def test_onnx_texts_that_are_not_utf_8_are_refused(tmp_path: Path, text: bytes) -> None:
    content = lay("onnx", tmp_path)["m.onnx"]
    assert text in content
    (tmp_path / "m.onnx").write_bytes(content.replace(text, b"\xf7" + text[1:]))
    refused("onnx", tmp_path, "is not UTF-8 text")


def test_a_claimed_artefact_that_is_a_path_is_refused(tmp_path: Path) -> None:
    content = lay("onnx", tmp_path)["m.onnx"]
    for name in ("../model.so", "/tmp/model.so", "..", "a\x00.so"):
        model = onnx.load_model_from_string(content)
        entry = next(one for one in model.metadata_props if one.key == "hwnas.artefact")
        entry.value = name
        (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
        refused("onnx", tmp_path, "name of a file beside it")


# --- texts


@pytest.mark.parametrize("name", ["space", "device"])
@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x]\nb: &b [*a, *a, *a]\nc: [*b, *b, *b]\n",
        "name: !!python/object/apply:os.system ['touch ran']\n",
        "name: !!python/name:os.system\n",
        "!!python/object/new:type [x]\n",
        '"\\U00110000": 1\n',
        '"\\uD800": 1\n',
        'name: "a\\0b"\n',
        "%YAML 1." + "9" * 5000 + "\n---\na: 1\n",
        "[" * 100_000,
        "- " * 100_000,
        "a: " + "9" * 5000 + "\n",
        "<<: {a: 1}\n",
    ],
)
def test_yaml_bombs_and_tags(tmp_path: Path, name: str, text: str, soon: None) -> None:
    for file in lay(name, tmp_path):
        (tmp_path / file).write_text(text)
    refused(name, tmp_path)
    assert not Path("ran").exists()


@pytest.mark.parametrize(("name", "file"), [("measurements", "m.csv"), ("table", "t.csv")])
def test_a_csv_with_a_million_columns(tmp_path: Path, name: str, file: str, soon: None) -> None:
    lay(name, tmp_path)
    (tmp_path / file).write_text(
        "architecture,latency_ms" + ",x" * 1_000_000 + "\n" + "1," * 1_000_000 + "\n"
    )
    refused(name, tmp_path, "columns")


def test_a_convergence_file_with_a_million_columns(tmp_path: Path, soon: None) -> None:
    lay("run", tmp_path)
    rows = "1\n" * 10_000  # filled up to the header, each would take 80 MB
    (tmp_path / "convergence.csv").write_text("evaluations" + ",x" * 1_000_000 + "\n" + rows)
    refused("run", tmp_path, "columns")


@pytest.mark.parametrize("block", [{"kind": "conv", "in_channels": "3"}, {"kind": 5}, "x", [], None, {}])
def test_a_block_list_of_other_values(tmp_path: Path, block: Any) -> None:
    from hwnas.profilers.simulated import _layers

    (tmp_path / "blocks.json").write_text(json.dumps({"version": 1, "blocks": [block]}))
    with pytest.raises(InputError, match="must be one that hwnas wrote"):
        _layers(tmp_path / "blocks.json")


@pytest.mark.parametrize("figure", ["nan", "inf", "-inf", "-1", "1e999", "9" * 400, "9" * 5000, "1_0", "٣"])
def test_figures_of_measurements_and_tables(tmp_path: Path, figure: str) -> None:
    space = get_space("demo")
    text = json.dumps(space.smallest().to_json()).replace('"', '""')
    for file in ("m.csv", "t.csv"):
        (tmp_path / file).write_text(f'architecture,latency_ms\n"{text}",{figure}\n', encoding="utf-8")
    if figure not in ("1_0", "٣"):
        refused("measurements", tmp_path, "line 2")
    table = lay("table", tmp_path)["t.csv"].decode()
    (tmp_path / "t.csv").write_text(table.replace(",0.5,", f",{figure},"), encoding="utf-8")
    refused("table", tmp_path, "latency_ms")


@pytest.mark.parametrize("figure", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 400, "9" * 5000])
@pytest.mark.parametrize(
    ("name", "file"), [("run", "front.json"), ("run", "journal.jsonl"), ("predictor", "p.json")]
)
def test_json_figures_that_are_none(tmp_path: Path, figure: str, name: str, file: str) -> None:
    text = lay(name, tmp_path)[file].decode()
    (tmp_path / file).write_text(text.replace(": 97.5", f": {figure}").replace(": 412.5", f": {figure}"))
    if name == "predictor":
        (tmp_path / file).write_text(text.replace('"num_measurements": 16', f'"num_measurements": {figure}'))
    assert (tmp_path / file).read_text() != text
    refused(name, tmp_path, file)


def test_json_that_no_file_could_be_written_with() -> None:
    assert parse_json('{"a": [1, 2.5, "\\u00e9", 1e300, 18446744073709551615]}')["a"][2] == "é"
    for text in ('"\\ud800"', "[" * 100_000, b"\xff", "NaN", "1e400", "18446744073709551616"):
        with pytest.raises(ValueError, match=r"."):
            parse_json(text)


def test_a_file_without_end_is_read_only_so_far() -> None:
    with pytest.raises(InputError, match="at most"):
        read_bytes(Path("/dev/zero"), "numbers", 1000)
    with pytest.raises(InputError, match="cannot read"):
        read_bytes(Path("a\0b"), "numbers")
    assert MAX_FILE_BYTES < 2**30


# --- run folders, stores, packs


@pytest.mark.parametrize("id", ["../../climbed", "/tmp/climbed", "..", "a/b", "", "a\n", "<script>"])
def test_an_id_in_a_front_that_is_a_path(tmp_path: Path, id: str) -> None:
    from hwnas.search.front import read_front

    make_run(tmp_path, 3)
    value = json.loads((tmp_path / "front.json").read_text())
    value["candidates"][1]["id"] = id
    (tmp_path / "front.json").write_text(json.dumps(value))
    with pytest.raises(InputError, match="no name of a folder"):
        read_front(tmp_path)


@pytest.mark.parametrize("value", [-1.0, "1", True, None, 1e400, float("nan")])
def test_a_stored_latency_that_is_none(tmp_path: Path, value: object) -> None:
    lay("store", tmp_path)
    with sqlite3.connect(tmp_path / "m.sqlite") as connection:
        (record,) = connection.execute("SELECT record FROM measurements").fetchone()
        spoilt = json.dumps({**json.loads(record), "latency_ms": value})
        connection.execute("UPDATE measurements SET record = ?", (spoilt,))
    connection.close()
    refused("store", tmp_path, "m.sqlite")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER INSERT ON measurements BEGIN DELETE FROM measurements; END",
        "DROP TABLE fingerprints; CREATE VIEW fingerprints AS WITH RECURSIVE n(digest) AS "
        "(SELECT 1 UNION ALL SELECT digest + 1 FROM n) SELECT digest, 'x' AS facts FROM n",
        "CREATE TABLE other (x, y GENERATED ALWAYS AS (zeroblob(1000000000)))",
    ],
)
def test_a_store_with_code_of_its_own(tmp_path: Path, statement: str, soon: None) -> None:
    lay("store", tmp_path)
    connection = sqlite3.connect(tmp_path / "m.sqlite")
    connection.executescript(statement)
    connection.close()
    refused("store", tmp_path, "is not ours")


@pytest.mark.parametrize(
    "instruction",
    [
        ["Annotate", ["b0", '"void f() {}"'], ["pragma_import_llvm"], []],
        ["Annotate", ["b0", '"void f() {}"'], ["pragma_import_c"], []],
        ["UnsafeSetDType", ["b0"], [0, "int8"], []],
        ["Annotate"],
        "Annotate",
    ],
)
def test_a_pack_that_brings_code_of_its_own(tmp_path: Path, instruction: Any) -> None:
    _spoil_pack(tmp_path, lambda value: next(iter(value["kernels"].values()))["trace"][0].append(instruction))
    refused("pack", tmp_path, "not one of ours")


@pytest.mark.parametrize("word", ["../../climbed", "/tmp/x", "a\0b", "..", 5])
def test_a_pack_whose_name_is_a_path(tmp_path: Path, word: object) -> None:
    _spoil_pack(tmp_path, lambda value: value.update(space=word))
    refused("pack", tmp_path, "plain word")


def test_a_pack_that_unpacks_without_end(tmp_path: Path, soon: None) -> None:
    import lzma

    (tmp_path / "p.json.xz").write_bytes(lzma.compress(b" " * (80 << 20), preset=0))
    refused("pack", tmp_path, "too large")


def test_numbers_too_large_for_a_pack(tmp_path: Path) -> None:
    for figure in (2**70, -1.5, "x"):
        _spoil_pack(tmp_path, lambda value, f=figure: next(iter(value["kernels"].values())).update(best_us=f))
        refused("pack", tmp_path, "not one of ours")


def _spoil_pack(folder: Path, change: Any) -> None:
    import lzma

    value = json.loads(lzma.decompress(lay("pack", folder)["p.json.xz"]))
    change(value)
    (folder / "p.json.xz").write_bytes(lzma.compress(json.dumps(value).encode(), preset=0))


@pytest.mark.parametrize("said", ["../../climbed", "/tmp/x", "a b", "", "..", "x" * 100, "znver4\n"])
def test_a_server_whose_processor_is_a_path(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    from types import SimpleNamespace

    from hwnas.errors import UnavailableError
    from hwnas.profilers.tvm.remote import machine as remote_machine
    from hwnas.profilers.tvm.remote.tracker import parse_address

    says = {"target.llvm_get_system_cpu": said, "target.llvm_get_system_triple": "aarch64-linux-gnu"}
    session = SimpleNamespace(get_function=lambda name: lambda: says[name])
    monkeypatch.setattr(remote_machine, "lend", lambda *_, **__: SimpleNamespace(session=session))
    with pytest.raises(UnavailableError, match="no plain name"):
        remote_machine.ask(parse_address("127.0.0.1:9190/pi"))
    says["target.llvm_get_system_cpu"] = "cortex-a72"
    found = remote_machine.ask(parse_address("127.0.0.1:9190/pi"))
    assert found is not None
    assert found.cpu == "cortex-a72"
