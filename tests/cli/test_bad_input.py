"""Bad input gets one clear line, exit code 2 (3 where nothing is feasible), and loses nothing."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .conftest import Ran

Run = Callable[..., Ran]
FAST = ("--device", "fpga-zcu102-dpu", "--no-export")


def refused(ran: Ran, *parts: str, code: int = 2) -> None:
    """Asserts one line on stderr that holds all parts, nothing on stdout, and the exit code."""
    assert ran.code == code, ran.err
    lines = [line for line in ran.err.splitlines() if line.startswith("hwnas: ")]
    assert len(lines) == 1, ran.err
    assert ran.err.splitlines()[-1] == lines[0]
    assert "Traceback" not in ran.err
    assert ran.out == ""
    for part in parts:
        assert part in lines[0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("25", "write 25ms"),
        ("0ms", "above zero"),
        ("-3ms", "above zero"),
        ("ms", "number with a unit"),
        ("25 parsecs", "unknown unit 'parsecs'"),
        ("nanms", "number with a unit"),
        ("1e999ms", "finite"),
    ],
)
def test_a_target_that_is_no_time(hwnas: Run, tmp_path: Path, text: str, says: str) -> None:
    refused(hwnas("search", f"--target-latency={text}", "-o", tmp_path / "run"), "--target-latency", says)
    assert not (tmp_path / "run").exists()


def test_a_missing_target(hwnas: Run) -> None:
    refused(hwnas("search"), "--target-latency")


def test_an_unknown_device_is_told_the_nearest_name(hwnas: Run, tmp_path: Path) -> None:
    words = ("--target-latency", "25ms", "--device", "cpu-otr", "-o", tmp_path / "run")
    refused(hwnas("search", *words), "did you mean 'cpu-ort'?")
    refused(hwnas("profile", "--device", "cpu-otr"), "did you mean 'cpu-ort'?")
    refused(hwnas("devices", "cpu-otr"), "did you mean 'cpu-ort'?")


def test_an_unknown_space_command_or_option(hwnas: Run) -> None:
    refused(hwnas("spaces", "dmo"), "did you mean 'demo'?")
    refused(hwnas("serach"), "serach")
    refused(hwnas("spaces", "--jsn"), "--jsn")


@pytest.mark.parametrize(
    "content", [None, b"", b"\x08\x00\x00\x00\x00\x00\x00\x00{", b"\xff" * 64, "pickle", "cut"]
)
def test_a_supernet_that_is_none(hwnas: Run, tmp_path: Path, content: bytes | str | None) -> None:
    from hwnas.supernet import demo_supernet_path

    path = tmp_path / "net.safetensors"
    if content == "pickle":
        path.write_bytes(pickle.dumps({"weights": [1, 2]}))
    elif content == "cut":
        path.write_bytes(demo_supernet_path().read_bytes()[:-100])
    elif isinstance(content, bytes):
        path.write_bytes(content)
    words = ("--target-latency", "25ms", "--supernet", path, "-o", tmp_path / "run")
    refused(hwnas("search", *words, *FAST), "net.safetensors")
    refused(hwnas("evaluate", path, "--architecture", "smallest"), "net.safetensors")


def test_a_corrupt_store_is_left_as_it_is(hwnas: Run, tmp_path: Path) -> None:
    store = tmp_path / "store.sqlite"
    store.write_bytes(b"SQLite format 3\x00" + b"\x13" * 5000)
    before = store.read_bytes()
    refused(hwnas("profile", "--device", "fpga-zcu102-dpu", "--store", store), "store.sqlite")
    assert store.read_bytes() == before


def test_a_table_with_a_missing_block_names_it(hwnas: Run, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    done = hwnas("profile", "--device", "fpga-zcu102-dpu", "--samples", 12, "--table-out", table)
    assert done.code == 0, done.err
    lines = table.read_text().splitlines()
    table.write_text("\n".join(line for line in lines if not line.startswith("linear")) + "\n")
    refused(hwnas("profile", "--device", f"table:{table}", "--samples", 12), "linear")
    last = next(line for line in lines if line.startswith("linear")).split(",8,8,")[0]
    table.write_text("\n".join([*lines, f"{last},8,8,nan,,"]))
    refused(hwnas("profile", "--device", f"table:{table}", "--samples", 12), f"line {len(lines) + 1}")


def test_image_folders_that_are_wrong(hwnas: Run, tmp_path: Path) -> None:
    words = ("train", "--space", "demo", "-o", tmp_path / "net.safetensors", "--data")
    folder = tmp_path / "images"
    refused(hwnas(*words, f"imagefolder:{folder}"), str(folder))
    folder.mkdir()
    refused(hwnas(*words, f"imagefolder:{folder}"), "images")
    one = folder / "cats"
    one.mkdir()
    for number in range(8):
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(one / f"{number}.png")
    refused(hwnas(*words, f"imagefolder:{folder}"), "class")
    assert not (tmp_path / "net.safetensors").exists()


def test_an_output_that_cannot_be_written(hwnas: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    inside = tmp_path / "file" / "run"
    refused(hwnas("search", "--target-latency", "25ms", "-o", inside, *FAST), "file")
    refused(hwnas("train", "-o", inside / "net.safetensors", "--epochs", 1), "file")
    assert (tmp_path / "file").read_text() == "kept"


def test_a_target_below_the_fastest_network_exits_3_and_names_the_fastest(hwnas: Run, tmp_path: Path) -> None:
    words = ("--target-latency", "1ns", "-o", tmp_path / "run", *FAST)
    refused(hwnas("search", *words), "must be at least", "fpga-zcu102-dpu", code=3)


def test_data_of_other_classes_than_the_supernet(hwnas: Run, tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        (tmp_path / name).mkdir()
        for number in range(8):
            Image.fromarray(np.full((8, 8, 3), number, np.uint8)).save(tmp_path / name / f"{number}.png")
    words = ("--target-latency", "25ms", "--data", f"imagefolder:{tmp_path}", "-o", tmp_path / "run")
    refused(hwnas("search", *words, *FAST), "2 classes", "10")


def test_a_run_folder_of_another_run_is_left_alone(hwnas: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_text('{"space": "other"}')
    refused(hwnas("search", "--target-latency", "25ms", "-o", folder, *FAST), "another run")
    assert (folder / "config.json").read_text() == '{"space": "other"}'


def test_reports_and_exports_of_what_is_no_run(hwnas: Run, tmp_path: Path) -> None:
    refused(hwnas("report", tmp_path), "front.json")
    refused(hwnas("export", tmp_path), "front.json")
    refused(hwnas("verify", tmp_path / "no.onnx"), "no.onnx")
    (tmp_path / "junk.onnx").write_bytes(b"\x08" * 100)
    refused(hwnas("verify", tmp_path / "junk.onnx"), "junk.onnx")


def test_architectures_that_do_not_fit(hwnas: Run, tmp_path: Path) -> None:
    refused(hwnas("evaluate", "--architecture", "{"), "not valid JSON")
    refused(hwnas("evaluate"), "no architecture given")
    file = tmp_path / "some.jsonl"
    file.write_text('{"ks": []}\n[1]\n')
    refused(hwnas("evaluate", "--architectures", file), "line 2")
    refused(hwnas("predict", "--device", "cpu-ort", "--architecture", '{"r": 48}'), "missing")


def test_a_predictor_that_was_never_fitted_names_the_command(hwnas: Run) -> None:
    from hwnas.spaces import get_space

    text = str(get_space("demo").smallest().to_json()).replace("'", '"')
    refused(hwnas("predict", "--device", "cpu-ort", "--architecture", text), "hwnas profile --device cpu-ort")
