"""The page of a run: complete, well-formed, self-contained, and the same each time."""

import base64
import gzip
import hashlib
import json
import re
from pathlib import Path
from typing import Any

from hwnas.report import write_report

from .walker import change, read_data, walk, without_plotly


def test_every_model_appears_with_its_figures(run_folder: Path) -> None:
    words = "".join(walk(run_folder).words)
    models = json.loads((run_folder / "front.json").read_text())["candidates"]
    for model in models:
        latency = model["latency_ms"][model["deploy_on"]]
        for shown in (
            model["id"],
            f"{model['accuracy_top1']['value']:.2f} ± 0.60",
            f"{latency['value']:.3f}",
            f"{latency['p95']:.3f}",
            f"{latency['predicted']:.3f}",
        ):
            assert shown in words
    assert "Latencies are measured, accuracies measured on validate." in words
    assert "p95 of 5.4 ms missed the target" in words


def test_the_page_tells_the_whole_story(run_folder: Path) -> None:
    walker = walk(run_folder)
    words = " ".join(walker.words)
    for heading in (
        *("Accuracy against latency", "Models", "Predicted against measured", "Convergence"),
        *("Against the obvious", "Layers of each model", "How it was made"),
    ):
        assert heading in words
    assert "hwnas search --target-latency 5ms" in words
    assert "mean absolute error 2.3 % (MAPE)" in words
    assert "91% inside the 90 % interval" in words
    assert "+2.40" in words
    assert "compound scaling" in words
    assert "versions.numpy" in words
    assert "quantized throughout" in words
    assert "2 at 8b of 6 layers" in words


def test_nothing_is_loaded_and_only_the_page_s_own_scripts_run(run_folder: Path) -> None:
    walker = walk(run_folder)
    tags = {tag for tag, _ in walker.tags}
    assert not {"link", "img", "iframe", "object", "embed", "base", "form", "video", "audio"} & tags
    for tag, attributes in walker.tags:
        assert not {"src", "srcset", "style", "background", "xlink:href", "action"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
        assert tag == "meta" or not any("http" in str(value) for value in attributes.values())
        assert str(attributes.get("href", "models/")).startswith("models/")
    page = without_plotly((run_folder / "report.html").read_text(encoding="utf-8"))
    assert not any(word in page for word in ("http:", "https:", "url(", "@import", "fetch(", "XMLHttp"))


def test_the_policy_names_the_scripts_by_what_is_in_them(run_folder: Path) -> None:
    page = write_report(run_folder).read_text(encoding="utf-8")
    policy = next(
        one["content"] for one in walk(run_folder).all("meta") if "Content-Security-Policy" in one.values()
    )
    assert policy is not None
    allowed = set(re.findall(r"'sha256-([^']+)'", policy))
    own = page[page.rindex("<script>") + len("<script>") : page.rindex("</script>")]
    packed = re.search('id="plotly">([^<]+)<', page)
    assert packed
    plotly = gzip.decompress(base64.b64decode(packed[1]))
    assert allowed == {
        base64.b64encode(hashlib.sha256(one).digest()).decode() for one in (own.encode(), plotly)
    }
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
    assert b"Licensed under the MIT license" in plotly[:500]


def test_the_page_is_small_enough_to_mail(run_folder: Path) -> None:
    assert write_report(run_folder).stat().st_size < 2_500_000


def test_the_page_can_be_read_without_seeing_it(run_folder: Path) -> None:
    walker = walk(run_folder)
    assert walker.all("html") == [{"lang": "en"}]
    assert len(walker.all("title")) == 1
    assert len(walker.all("h1")) == 1
    places = [one for one in walker.all("div") if "data-plot" in one]
    assert len(places) > 5
    assert all(one.get("aria-label") and one.get("role") == "img" for one in places)
    assert len(walker.all("caption")) == len(
        [one for one in walker.all("div") if one.get("class") == "scroll"]
    )
    assert all(one.get("scope") for one in walker.all("th"))
    labelled = {one["for"] for one in walker.all("label")}
    for control in walker.all("input") + walker.all("select"):
        assert control.get("aria-label") or control["id"] in labelled
    ids = [attributes["id"] for _, attributes in walker.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_every_place_has_its_plot(run_folder: Path) -> None:
    places = [str(one["data-plot"]) for one in walk(run_folder).all("div") if "data-plot" in one]
    plots = read_data(run_folder)["plots"]
    assert set(places) <= set(plots)
    assert {"front", "front-size", "devices", "convergence-measured", "baselines"} <= set(plots)
    options = [one["value"] for one in walk(run_folder).all("option")]
    assert {key for key in plots if key.startswith("front")} <= set(options)


def test_the_script_is_given_what_a_target_is_held_against(run_folder: Path) -> None:
    front = json.loads((run_folder / "front.json").read_text())["candidates"]
    models = {one["id"]: one for one in read_data(run_folder)["models"]}
    for one in front:
        assert models[one["id"]]["bound"] == {device: f["p95"] for device, f in one["latency_ms"].items()}
        assert models[one["id"]]["accuracy"] == one["accuracy_top1"]["value"]
    slowest = list(models.values())[-1]
    assert slowest["latency"][slowest["device"]] == max(m["latency"][m["device"]] for m in models.values())


def test_energy_is_shown_where_it_is_known(run_folder: Path) -> None:
    assert "energy" not in " ".join(walk(run_folder).words)
    energy = {"value": 1.25, "kind": "modelled"}
    change(run_folder, "front.json", lambda front: front["candidates"][3].update(energy_mj=energy))
    walker = walk(run_folder)
    assert "energies modelled" in " ".join(walker.words)
    assert [one for one in walker.all("input") if one.get("data-filter") == "energy"]
    assert read_data(run_folder)["plots"]["front-energy"]["data"][0]["x"] == [1.25]


def test_only_files_that_are_there_are_linked(run_folder: Path) -> None:
    first = json.loads((run_folder / "front.json").read_text())["candidates"][0]["id"]
    assert [one["href"] for one in walk(run_folder).all("a")] == [f"models/{first}/model.onnx"]
    files = {one["id"]: one["files"] for one in read_data(run_folder)["models"]}
    assert files.pop(first) == [["model.onnx", f"models/{first}/model.onnx"]]
    assert not any(files.values())


def test_the_model_of_a_fleet_is_told_with_what_it_gives_away(run_folder: Path) -> None:
    fleet = {
        "id": "abc",
        "regret_points": {"cpu+cpu-ort": 0.5, "board": 0.25},
        "deploy_on": {"cpu+cpu-ort": "cpu-ort", "board": "board"},
        "carried_over": {"cpu+cpu-ort": {"id": "def", "worst_regret_points": 1.5}, "board": None},
    }
    change(run_folder, "front.json", lambda front: front.update(fleet=fleet, certificate={"cpu": 0.99987}))
    words = [word for word in walk(run_folder).words if word.strip()]
    assert any(
        "0.50 points on cpu+cpu-ort (run it on cpu-ort), 0.25 points on board," in one for one in words
    )
    start = words.index("at worst, points")
    assert words[start + 1 : start + 10] == [
        *("one model for all", "abc", "0.50", "the best for cpu+cpu-ort", "def", "1.50"),
        *("the best for board", "–", "misses a target"),
    ]
    assert any("for cpu has 0.9999 of the exact front's" in one for one in words)
    change(run_folder, "front.json", lambda front: front["fleet"].update(id=None))
    assert any("each device needs its own" in one for one in walk(run_folder).words)


def test_a_model_may_be_on_the_fronts_of_several_devices(run_folder: Path) -> None:
    front = json.loads((run_folder / "front.json").read_text())
    other = next(
        one for one in front["candidates"] if len(one["latency_ms"]) == 2 and one["deploy_on"] == "cpu"
    )

    def paleness() -> float:
        trace = read_data(run_folder)["plots"]["front"]["data"][3]
        assert trace["name"] == "cpu-ort"
        return float(trace["marker"]["opacity"][trace["customdata"].index(other["id"])])

    assert paleness() < 1
    change(run_folder, "front.json", lambda front: front.update(fronts={"cpu-ort": [other["id"]]}))
    assert paleness() == 1


def test_targets_may_differ_by_device(run_folder: Path) -> None:
    change(
        run_folder, "front.json", lambda front: front.update(target_latency_ms={"cpu": 4.0, "cpu-ort": 6.0})
    )
    assert "target on cpu-ort" in walk(run_folder).words
    data = read_data(run_folder)
    assert data["targets"] == {"cpu": 4.0, "cpu-ort": 6.0}
    notes = [one["text"] for one in data["plots"]["front"]["layout"]["annotations"]]
    assert notes == ["target 4 ms", "target 6 ms"]


def test_a_target_that_excludes_nothing_does_not_squeeze_the_front(run_folder: Path) -> None:
    change(run_folder, "front.json", lambda front: front.update(target_latency_ms=25.0))
    assert read_data(run_folder)["plots"]["front"]["layout"]["shapes"] == []
    assert "target latency" in walk(run_folder).words


def test_the_best_of_each_device_is_carried_over_to_the_others(run_folder: Path) -> None:
    def edit(front: dict[str, Any]) -> None:
        front["target_latency_ms"] = {"cpu": 4.0, "cpu-ort": 2.0}
        front["candidates"] = front["candidates"][:3]
        rows = (("a", 90.0, 3.0, 1.5), ("b", 95.0, 3.9, 2.5), ("c", 99.0, 4.5, 2.2))
        for model, (name, accuracy, on_cpu, on_ort) in zip(front["candidates"], rows, strict=True):
            model["id"] = name
            model["accuracy_top1"]["value"] = accuracy
            model["latency_ms"] = {
                "cpu": {"value": on_cpu - 0.5, "p95": on_cpu},
                "cpu-ort": {"value": on_ort - 0.5, "p95": on_ort},
            }

    change(run_folder, "front.json", edit)
    words = walk(run_folder).words
    start = words.index("The best model of each device, carried over to the others.")
    table = [one for one in words[start : words.index("Predicted against measured")] if one.strip()]
    assert table[1:5] == ["best for", "model", "cpu", "cpu-ort"]
    assert table[5:13] == [
        *("cpu", "b", "3.400 ms", "p95 3.900 ms", "its own best"),
        *("2.000 ms", "p95 2.500 ms", "misses 2.000 ms"),
    ]
    assert table[13:21] == [
        *("cpu-ort", "a", "2.500 ms", "p95 3.000 ms", "5.00 points behind"),
        *("1.000 ms", "p95 1.500 ms", "its own best"),
    ]


def test_the_page_is_the_same_every_time(run_folder: Path) -> None:
    first = write_report(run_folder).read_bytes()
    assert write_report(run_folder).read_bytes() == first
