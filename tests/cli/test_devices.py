"""Device files on the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Ran

Run = Callable[..., Ran]

BOARD = "name: my-board\nruntime: dpu\nboard: {}\n"


@pytest.fixture
def board(tmp_path: Path) -> Path:
    path = tmp_path / "board.yaml"
    path.write_text(BOARD.format("zcu102"))
    return path


def good(ran: Ran) -> Ran:
    assert ran.code == 0, ran.err
    return ran


def refused(ran: Ran, words: str) -> None:
    assert ran.code == 2
    assert words in ran.err
    assert len(ran.err.strip().splitlines()[-1]) < 400


def test_the_list_says_why_not(hwnas: Run) -> None:
    out = good(hwnas("devices")).out
    described = json.loads(good(hwnas("devices", "--json")).out)
    for one in described:
        assert one["name"] in out
        assert one["usable"] or f"{one['name']}: {one['reason']}" in out


def test_a_device_printed_as_yaml_is_read_back(hwnas: Run, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(good(hwnas("devices", "cpu-ort", "--yaml")).out.replace("name: cpu-ort", "name: mine"))
    found = json.loads(good(hwnas("devices", path, "--json")).out)
    assert (found["name"], found["runtime"], found["bits"]) == ("mine", "ONNX Runtime", [32, 8])
    assert "mine" in good(hwnas("devices", path)).out
    assert good(hwnas("devices", path, "--yaml")).out == path.read_text()


def test_yaml_is_of_one_device(hwnas: Run) -> None:
    refused(hwnas("devices", "--yaml"), "name it: hwnas devices cpu-ort --yaml")
    refused(hwnas("devices", "cpu", "--yaml", "--json"), "give one of them")


def test_a_device_file_that_is_wrong_is_one_line(hwnas: Run, board: Path) -> None:
    board.write_text("name: my-board\nruntime: dpu\nclock_mz: 200\n")
    refused(
        hwnas("profile", "--device", board),
        "board.yaml line 3: clock_mz is no field: did you mean 'clock_mhz'?",
    )


def test_profile_and_predict_know_a_device_file(hwnas: Run, board: Path, tmp_path: Path) -> None:
    words = ("--device", board, "--store", tmp_path / "store.sqlite", "--json")
    profiled = json.loads(good(hwnas("profile", *words, "--samples", 12)).out)
    assert "my-board" in Path(profiled["predictor"]).name
    eight = hwnas("predict", *words, "--architecture", "{}")
    assert eight.code == 2  # no architecture, but the predictor is found
    assert "no predictor" not in eight.err


def test_a_search_goes_on_with_the_same_device_file_only(
    hwnas: Run, board: Path, tmp_path: Path, data: str, supernet: Path
) -> None:
    run = tmp_path / "run"
    words = ("search", "--target-latency", "25ms", "--device", board, "--supernet", supernet, "--data", data)
    words += ("-o", run, "--samples", 12, "--evaluations", 24, "--no-export", "--json")
    found = json.loads(good(hwnas(*words)).out)
    assert {one["deploy_on"] for one in found["candidates"]} == {"my-board"}
    config = json.loads((run / "config.json").read_text())
    kept = config["device_definitions"]["my-board"]
    assert (kept["name"], kept["runtime"], kept["clock_mhz"]) == ("my-board", "dpu", 281)
    assert json.loads(good(hwnas(*words)).out)["candidates"] == found["candidates"]
    # What was searched can be exported without the file.
    board.rename(tmp_path / "elsewhere.yaml")
    chosen = found["candidates"][0]["id"]
    words_of_export = ("export", run, "--select", chosen, "--supernet", supernet, "--json")
    exported = good(hwnas(*words_of_export, "--store", tmp_path / "own.sqlite"))
    assert (tmp_path / "own.sqlite").exists()
    assert [one["id"] for one in json.loads(exported.out)["models"]] == [chosen]
    checked = hwnas("verify", run / "exported" / "models" / chosen / "model.onnx", "--json")
    assert "latency not measured" in checked.err
    board.write_text(BOARD.format("kv260"))
    refused(hwnas(*words), "holds another run (different: ")


def test_two_devices_of_one_name_are_refused(
    hwnas: Run, board: Path, tmp_path: Path, supernet: Path, data: str
) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(BOARD.format("kv260"))
    words = ("search", "--target-latency", "25ms", "--supernet", supernet, "--data", data)
    ran = hwnas(*words, "--device", board, "--device", other, "-o", tmp_path / "run")
    refused(ran, "--device must give each name once, but two are called 'my-board'; rename one")
