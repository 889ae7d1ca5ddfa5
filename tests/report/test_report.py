"""The page of a run: complete, well-formed, self-contained, and safe whatever names it meets."""

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from hwnas.errors import InputError
from hwnas.report import write_report
from hwnas.report.models import _box
from hwnas.spaces import get_space
from hwnas.spaces.recipes import RECIPES

VOID = {"meta", "br", "circle", "line", "rect", "path", "polyline"}
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
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def walk(folder: Path) -> Walker:
    walker = Walker()
    walker.feed(write_report(folder).read_text(encoding="utf-8"))
    walker.close()
    assert walker.open == []
    return walker


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
            f"{latency['value']:.3f} ±",
            f"{latency['p95']:.3f}",
            f"{latency['predicted']:.3f}",
        ):
            assert shown in words
    assert "measured on validate" in words
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
    assert "2 at 8 bits of 6 layers" in words


def test_nothing_is_loaded_and_no_script_runs(run_folder: Path) -> None:
    page = write_report(run_folder).read_text(encoding="utf-8")
    walker = walk(run_folder)
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & {
        tag for tag, _ in walker.tags
    }
    for _, attributes in walker.tags:
        assert not {"src", "srcset", "style", "background", "xlink:href"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
        assert str(attributes.get("href", "models/")).startswith("models/")
    assert not any(word in page for word in ("http:", "https:", "url(", "@import"))


def test_the_page_can_be_read_without_seeing_it(run_folder: Path) -> None:
    walker = walk(run_folder)
    assert walker.all("html") == [{"lang": "en"}]
    assert len(walker.all("title")) > 1
    assert len(walker.all("h1")) == 1
    for drawing in walker.all("svg"):
        assert drawing.get("aria-label") or drawing.get("aria-hidden") == "true"
    assert len(walker.all("caption")) == len(
        [one for one in walker.all("div") if one.get("class") == "scroll"]
    )
    assert all(one.get("scope") for one in walker.all("th"))
    ids = [attributes["id"] for _, attributes in walker.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_only_files_that_are_there_are_linked(run_folder: Path) -> None:
    first = json.loads((run_folder / "front.json").read_text())["candidates"][0]["id"]
    assert [one["href"] for one in walk(run_folder).all("a")] == [f"models/{first}/model.onnx"]


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
    assert "script" not in {tag for tag, _ in walker.tags}
    assert "\u202e" not in (folder / "report.html").read_text(encoding="utf-8")
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
    assert len([one for one in walker.all("svg") if "uniformly random" in str(one.get("aria-label"))]) == 1


def test_without_proposals_the_models_of_the_front_are_shown(run_folder: Path) -> None:
    assert "cpu: what the search proposed" in walk(run_folder).words
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
    words = "".join(walk(run_folder).words)
    assert "target 4 ms" in words
    assert "target on cpu-ort" in words


def test_layers_of_a_space_that_is_not_installed_are_shown_as_genes(run_folder: Path) -> None:
    change(run_folder, "front.json", lambda front: front.update(space="elsewhere"))
    words = "".join(walk(run_folder).words)
    assert "The layers cannot be drawn here: unknown space 'elsewhere'" in words
    assert '"ks": [' in words


def test_every_layer_of_a_model_stands_in_its_strip(run_folder: Path) -> None:
    walker = walk(run_folder)
    titles = [one["title"] for one in walker.all("li") if one.get("title")]
    assert sum(str(title).startswith("classifier: linear 160 to 10 channels") for title in titles) == 10
    assert any("8-bit weights, 8-bit activations" in str(title) for title in titles)


def test_blocks_of_other_spaces_say_their_ratio_and_their_width() -> None:
    space = get_space("ofa-resnet50")
    largest = {layer.name: layer for layer in space.layers(space.largest())}
    boxes = {name: str(_box(layer, elastic=True)) for name, layer in largest.items()}
    assert "k3 e0.35 w2048" in boxes["stages.3.0"]
    assert "stages.3.0: bottleneck 1024 to 2048 channels, 14 px, stride 2" in boxes["stages.3.0"]
    assert "k3 w32" in boxes["stem.1"]
    assert "max_pool w64" in boxes["stem.pool"]
    assert ">linear<" in str(_box(largest["classifier"], elastic=False))


def test_a_user_s_space_is_drawn_from_its_definition(run_folder: Path) -> None:
    definition = RECIPES["demo"]().model_copy(update={"name": "mine"}).model_dump(mode="json")
    change(run_folder, "front.json", lambda front: front.update(space="mine"))
    change(run_folder, "config.json", lambda config: config.update(space_definition=definition))

    def rename(front: dict[str, Any]) -> None:
        for one in front["candidates"]:
            one["architecture"]["space"] = "mine"

    change(run_folder, "front.json", rename)
    assert "cannot be drawn" not in "".join(walk(run_folder).words)


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
