"""The page of a run: complete, well-formed, self-contained, and safe whatever names it meets."""

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from hwnas.errors import InputError
from hwnas.report import write_report
from hwnas.report.chains import brick
from hwnas.spaces import get_space
from hwnas.spaces.recipes import RECIPES

VOID = {"meta", "br", "input"}
HOSTILE = "<script>alert(1)</script>\"'&\u202egnp.\u0007"


class Walker(HTMLParser):
    """Checks that tags are balanced, and gathers what a test asks about."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        assert len(attrs) == len(dict(attrs)), f"an attribute twice in {tag}"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"{tag} was never opened"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["script"], ["style"]):
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def walk(folder: Path) -> Walker:
    walker = Walker()
    walker.feed(without_plotly(write_report(folder).read_text(encoding="utf-8")))
    walker.close()
    assert walker.open == []
    return walker


def without_plotly(page: str) -> str:
    """The page without its two megabytes of library, which only cost time to look through."""
    start = page.index('<script type="application/json" id="plotly">')
    return page[:start] + page[page.index("</script>", start) + len("</script>") :]


def data_of(page: str) -> Any:
    start = page.index('id="run-data">') + len('id="run-data">')
    return json.loads(page[start : page.index("</script>", start)])


def read_data(folder: Path) -> Any:
    return data_of(write_report(folder).read_text(encoding="utf-8"))


def change(folder: Path, file: str, edit: Callable[[Any], Any]) -> None:
    path = folder / file
    value = json.loads(path.read_text(encoding="utf-8"))
    replaced = edit(value)
    path.write_text(json.dumps(value if replaced is None else replaced), encoding="utf-8")


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


def test_hostile_names_are_shown_and_not_obeyed(run_folder: Path) -> None:
    folder = run_folder.rename(run_folder.parent / "<b>run\u202e&'\"")

    def rename(front: dict[str, Any]) -> None:
        front["space"] = HOSTILE
        front["devices"] = [HOSTILE]
        front["dropped"] = [{"id": HOSTILE, "device": HOSTILE, "reason": HOSTILE}]
        front["reference_point"] = {HOSTILE: HOSTILE}
        for model in front["candidates"]:
            model["latency_ms"] = {HOSTILE: next(iter(model["latency_ms"].values()))}
            model["deploy_on"] = HOSTILE
            model["accuracy_top1"] |= {"split": HOSTILE, "kind": HOSTILE}
            model["architecture"] = {HOSTILE: HOSTILE}

    change(folder, "front.json", rename)
    change(folder, "config.json", lambda config: {HOSTILE: {HOSTILE: [HOSTILE]}})
    change(folder, "environment.json", lambda environment: {"command": [HOSTILE]})
    change(
        folder,
        "predictors.json",
        lambda all_of: {HOSTILE: {**all_of["cpu"], "model": HOSTILE}},
    )
    change(
        folder,
        "baselines.json",
        lambda all_of: {HOSTILE: all_of["random"], f"a on {HOSTILE}": all_of["random"]},
    )
    (folder / "convergence.csv").write_text(
        f'device,evaluations,hypervolume\n"{HOSTILE.replace(chr(34), chr(34) * 2)}",3,4.5\n', encoding="utf-8"
    )
    walker = walk(folder)
    assert len(walker.all("script")) == 2  # its data and its own; plotly was taken out
    page = without_plotly((folder / "report.html").read_text(encoding="utf-8"))
    assert page.count("<script") == page.count("</script>") == 2
    drawn = json.dumps(data_of(page), ensure_ascii=False)
    assert not {"\u202e", "\u0007"} & set(page + drawn)
    shown = "&lt;script&gt;alert(1)&lt;/script&gt;\"'&amp;⟨U+202E⟩gnp.⟨U+0007⟩"
    assert data_of(page)["plots"]["front"]["data"][0]["name"] == shown
    assert any("<script>alert(1)</script>\"'&⟨U+202E⟩gnp.⟨U+0007⟩" in word for word in walker.words)


def test_a_folder_name_that_is_not_text_is_shown_all_the_same(run_folder: Path) -> None:
    folder = run_folder.rename(run_folder.parent / "caf\udce9")
    walk(folder)


def test_optional_files_may_be_absent(run_folder: Path) -> None:
    (run_folder / "predictors.json").unlink()
    (run_folder / "baselines.json").unlink()
    assert "No baselines were measured" in "".join(walk(run_folder).words)


def test_baselines_may_be_split_by_devices_and_have_no_points(run_folder: Path) -> None:
    margin = {"mean_points": None, "standard_error": None, "compared": 0, "better": 0}
    change(
        run_folder,
        "baselines.json",
        lambda old: {"random on cpu": old["random"], "compound_scaled on cpu-ort": margin},
    )
    walker = walk(run_folder)
    assert "0 of 0" in walker.words
    assert len([one for one in walker.all("div") if "uniformly random" in str(one.get("aria-label"))]) == 1


def test_without_proposals_the_models_of_the_front_are_shown(run_folder: Path) -> None:
    assert "Of what the search proposed: 20" in " ".join(walk(run_folder).words)
    change(run_folder, "predictors.json", lambda old: {"cpu": {**old["cpu"], "verified": []}})
    assert "cpu: models of the front" in walk(run_folder).words


def test_a_front_may_be_empty_or_alone(run_folder: Path) -> None:
    change(run_folder, "front.json", lambda front: front.update(candidates=front["candidates"][:1]))
    walk(run_folder)
    change(run_folder, "front.json", lambda front: front.update(candidates=[], target_latency_ms=None))
    (run_folder / "convergence.csv").write_text("evaluations,hypervolume\n")
    words = "".join(walk(run_folder).words)
    assert "No model met the target" in words
    assert "No round has ended" in words


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


def test_layers_of_a_space_that_is_not_installed_are_told_as_genes(run_folder: Path) -> None:
    change(run_folder, "front.json", lambda front: front.update(space="elsewhere"))
    data = read_data(run_folder)
    assert data["problem"].startswith("The layers cannot be drawn here: unknown space 'elsewhere'")
    assert len(data["genes"]) == 10
    assert '"ks": [' in next(iter(data["genes"].values()))


def test_every_layer_of_a_model_is_a_brick(run_folder: Path) -> None:
    data = read_data(run_folder)
    assert len(data["chains"]) == 10
    for one in json.loads((run_folder / "front.json").read_text())["candidates"]:
        bricks = [data["bricks"][row] for row in data["chains"][one["id"]]]
        assert len(bricks) == len(one["bits"]["weights"]) + 1  # the pool has no weights
        assert bricks[-1]["told"].startswith("classifier: linear 160 to 10 channels")
        quantized = [brick for brick in bricks if brick["tone"] == "q8"]
        assert len(quantized) == one["bits"]["weights"].count(8)
        assert all("8b" in brick["lines"] for brick in quantized)


def test_blocks_of_other_spaces_say_their_ratio_and_their_width() -> None:
    space = get_space("ofa-resnet50")
    largest = {layer.name: layer for layer in space.layers(space.largest())}
    block = brick(largest["stages.3.0"], elastic=True)
    assert block["lines"] == ["k3", "e0.35", "w2048"]
    assert block["stage"] == "stage 3"
    assert block["told"].startswith("stages.3.0: bottleneck 1024 to 2048 channels, kernel 3, 14 px, stride 2")
    assert brick(largest["stem.1"], elastic=True)["lines"] == ["k3", "w32"]
    assert brick(largest["stem.pool"], elastic=True)["lines"] == ["max_pool", "w64"]
    assert brick(largest["classifier"], elastic=False)["lines"] == ["linear"]


def test_a_user_s_space_is_drawn_from_its_definition(run_folder: Path) -> None:
    definition = RECIPES["demo"]().model_copy(update={"name": "mine"}).model_dump(mode="json")
    change(run_folder, "front.json", lambda front: front.update(space="mine"))
    change(run_folder, "config.json", lambda config: config.update(space_definition=definition))

    def rename(front: dict[str, Any]) -> None:
        for one in front["candidates"]:
            one["architecture"]["space"] = "mine"

    change(run_folder, "front.json", rename)
    assert read_data(run_folder)["problem"] == ""


@pytest.mark.parametrize("file", ["front.json", "convergence.csv", "config.json", "environment.json"])
def test_a_missing_file_is_named(run_folder: Path, file: str) -> None:
    (run_folder / file).unlink()
    with pytest.raises(InputError, match=f"cannot read run file .*{file}") as caught:
        write_report(run_folder)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must be a folder that `hwnas search` wrote"):
        write_report(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("edit", "where"),
    [
        (lambda front: [], "at the file"),
        (lambda front: front.pop("space") and None, "at space"),
        (lambda front: front["candidates"][0].update(id="../../etc"), "at candidates.0.id"),
        (lambda front: front["candidates"][1]["accuracy_top1"].update(value=True), "accuracy_top1.value"),
        (lambda front: front["candidates"][0].update(latency_ms={}), "at candidates.0.latency_ms"),
        (
            lambda front: front["candidates"][0].update(latency_ms={"cpu": {"value": -1}}),
            "latency_ms.cpu.value",
        ),
        (
            lambda front: front["candidates"][0].update(latency_ms={"cpu": {"value": 1e300}}),
            "latency_ms.cpu.value",
        ),
        (lambda front: front.update(target_latency_ms="25ms"), "at target_latency_ms"),
    ],
)
def test_an_odd_front_is_refused_in_one_line(
    run_folder: Path, edit: Callable[[Any], Any], where: str
) -> None:
    change(run_folder, "front.json", edit)
    with pytest.raises(InputError, match=r"front\.json must be as `hwnas search` writes it") as caught:
        write_report(run_folder)
    assert where in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (run_folder / "report.html").exists()


@pytest.mark.parametrize("row", ["x,1", "1,nan", "1,1e300", "1", "9" * 5000 + ",1"])
def test_an_odd_convergence_file_is_refused_with_its_line(run_folder: Path, row: str) -> None:
    (run_folder / "convergence.csv").write_text(f"evaluations,hypervolume\n1,1\n{row}\n")
    with pytest.raises(InputError, match=r"convergence\.csv: line 3 "):
        write_report(run_folder)


def test_deep_settings_do_not_break_the_page(run_folder: Path) -> None:
    nested: Any = 1
    for _ in range(300):
        nested = {"a": [nested]}
    change(run_folder, "config.json", lambda config: {"deep": nested})
    walk(run_folder)


def test_the_page_is_the_same_every_time(run_folder: Path) -> None:
    first = write_report(run_folder).read_bytes()
    assert write_report(run_folder).read_bytes() == first
