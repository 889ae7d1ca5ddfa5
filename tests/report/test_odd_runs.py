"""Runs that are odd: hostile names, files that are absent or hold what they should not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hwnas.errors import InputError
from hwnas.report import write_report

from .walker import HOSTILE, change, data_of, walk, without_plotly


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
