"""Each command on its good path, on small inputs."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hwnas.cli.main import app
from hwnas.spaces import get_space

from .conftest import Ran

Run = Callable[..., Ran]


def good(ran: Ran) -> Ran:
    assert ran.code == 0, ran.err
    return ran


@pytest.mark.parametrize("command", app.registered_commands, ids=lambda command: str(command.name))
def test_every_command_has_help_with_an_example(hwnas: Run, command: object) -> None:
    name = command.name  # type: ignore[attr-defined]
    ran = good(hwnas(name, "--help"))
    assert "Example: hwnas " + name in " ".join(ran.out.split())


def test_version_and_bare_help(hwnas: Run) -> None:
    assert good(hwnas("--version")).out.startswith("hwnas 0.")
    assert "Start with: hwnas search" in good(hwnas()).out


def test_spaces_lists_all_and_describes_one(hwnas: Run) -> None:
    every = json.loads(good(hwnas("spaces", "--json")).out)
    assert {"demo", "ofa-mobilenetv3-w1.0"} <= {one["name"] for one in every}
    one = json.loads(good(hwnas("spaces", "demo", "--json")).out)
    assert one["genes"]["ks"] == {"count": 9, "choices": [3, 5]}
    assert "demo" in good(hwnas("spaces")).out


def test_devices_says_for_each_whether_it_is_usable(hwnas: Run) -> None:
    every = json.loads(good(hwnas("devices", "--json")).out)
    for one in every:
        assert one["usable"] == (one["reason"] is None)
    assert {"cpu", "cpu-ort", "fpga-zcu102-dpu"} <= {one["name"] for one in every}
    assert "ONNX Runtime" in good(hwnas("devices", "cpu-ort")).out


def test_train_writes_a_supernet_that_evaluate_reads_and_adds_to(
    hwnas: Run, tmp_path: Path, data: str
) -> None:
    net, table = tmp_path / "net.safetensors", tmp_path / "results.csv"
    words = ("train", "--data", data, "--epochs", 1, "--batch-size", 16, "-o", net, "--json")
    trained = json.loads(good(hwnas(*words)).out)
    assert trained["supernet"] == str(net)
    before = net.read_bytes()
    good(hwnas(*words))
    assert net.read_bytes() == before
    some = ("evaluate", net, "--data", data, "-o", table, "--json")
    first = json.loads(good(hwnas(*some, "--sample", 2, "--architecture", "smallest")).out)
    assert len(first) == 3
    assert all(one["split"] == "validate" for one in first)
    good(hwnas(*some, "--sample", 3))
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert len(rows) == len({row["id"] for row in rows}) == 4
    assert get_space("demo").architecture(json.loads(rows[0]["architecture"])) == get_space("demo").smallest()


def test_profile_measures_once_and_predict_uses_its_predictor(hwnas: Run, tmp_path: Path) -> None:
    store = tmp_path / "store.sqlite"
    words = ("profile", "--device", "fpga-zcu102-dpu", "--samples", 20, "--store", store, "--json")
    first, second = (json.loads(good(hwnas(*words)).out) for _ in range(2))
    assert (first.pop("newly_measured"), second.pop("newly_measured")) == (20, 0)
    for one in (first, second):
        del one["groups"], one["seconds"], one["repeated"]
    assert first == second
    assert first["measured"] == 20
    assert first["kind"] == "simulated"
    assert first["fastest"]["latency_ms"]["value"] < first["slowest"]["latency_ms"]["value"]
    assert first["held_out"]["n"] == 20
    file = tmp_path / "some.jsonl"
    rng = np.random.default_rng(0)
    rows = []
    for one in get_space("demo").sample(30, rng):
        eight = [8] * (len(get_space("demo").layers(one)) - 1)
        rows.append(one.to_json() | {"bits": {"weights": eight, "activations": eight}})
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    some = ("predict", "--device", "fpga-zcu102-dpu", "--architectures", file, "--store", store, "--json")
    predicted = json.loads(good(hwnas(*some)).out)
    assert len(predicted) == 30
    for one in predicted:
        assert one["latency_ms"]["kind"] == "predicted"
        assert one["latency_ms"]["low"] <= one["latency_ms"]["value"] <= one["latency_ms"]["high"]


def test_a_written_table_is_a_device(hwnas: Run, tmp_path: Path) -> None:
    table = tmp_path / "dpu.csv"
    device = ("profile", "--device", "fpga-zcu102-dpu", "--samples", 12, "--json")
    modelled = json.loads(good(hwnas(*device, "--table-out", table)).out)
    words = ("profile", "--device", f"table:{table}", "--import", table, "--samples", 12, "--json")
    imported = json.loads(good(hwnas(*words)).out)
    assert imported["slowest"]["latency_ms"]["value"] == pytest.approx(
        modelled["slowest"]["latency_ms"]["value"]
    )


def test_the_road_from_target_to_verified_files(
    hwnas: Run, tmp_path: Path, data: str, supernet: Path
) -> None:
    run = tmp_path / "run"
    words = ("search", "--target-latency", "25ms", "--device", "cpu-ort", "--device", "fpga-zcu102-dpu")
    words += ("--bits", "32,8", "--supernet", str(supernet), "--data", data, "-o", str(run))
    words += ("--samples", "12", "--evaluations", "24", "--json")
    ran = good(hwnas(*words))
    found = json.loads(ran.out)
    assert "excludes nothing" in ran.err
    assert found["candidates"]
    assert json.loads((run / "front.json").read_text())["candidates"] == found["candidates"]
    names = {path.name for path in run.iterdir()}
    assert {"config.json", "environment.json", "journal.jsonl", "front.csv", "convergence.csv"} <= names
    assert {"report.html", "predictors.json", "baselines.json", "models"} <= names
    assert {path.name for path in (run / "models").iterdir()} == {one["id"] for one in found["candidates"]}
    for one in found["candidates"]:
        manifest = json.loads((run / "models" / one["id"] / "manifest.json").read_text())
        assert manifest["accuracy_top1"]["split"] == "test"
        figure = manifest["latency_ms"][one["deploy_on"]]
        assert figure["value"] == one["latency_ms"][one["deploy_on"]]["value"]
        assert figure["kind"] == ("measured" if one["deploy_on"] == "cpu-ort" else "simulated")
    # The same command again gives the same front, from the journal.
    assert json.loads(good(hwnas(*words)).out)["candidates"] == found["candidates"]
    page = (run / "report.html").read_text()
    (run / "report.html").unlink()
    good(hwnas("report", run))
    assert (run / "report.html").read_text() == page
    chosen = found["candidates"][0]["id"]
    # The run knows where its supernet was; one that moved has to be named.
    exported = good(hwnas("export", run, "--select", chosen, "-o", tmp_path / "out", "--json"))
    assert [one["id"] for one in json.loads(exported.out)["models"]] == [chosen]
    named = json.loads((run / "environment.json").read_text())
    assert named["supernet_file"] == str(supernet)
    (run / "environment.json").write_text(json.dumps({**named, "supernet_file": str(tmp_path / "gone")}))
    lost = hwnas("export", run, "--select", chosen, "-o", tmp_path / "lost")
    assert lost.code == 2
    assert "name the run's supernet with --supernet" in lost.err
    checked = hwnas(
        "verify", tmp_path / "out" / "models" / chosen / "model.onnx", "--device", "cpu-ort", "--json"
    )
    verdicts = {check["what"]: check["passed"] for check in json.loads(checked.out)["checks"]}
    assert verdicts["graph"]
    assert verdicts["accuracy_top1"]
