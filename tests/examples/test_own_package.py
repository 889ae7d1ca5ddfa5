"""A package from outside adds a space, a device, a data set and a predictor, each in one short file."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import hwnas
from hwnas.data import SPLITS, dataset_names
from hwnas.predictors import model_names
from hwnas.profilers.registry import device_names
from hwnas.spaces import space_names
from tests.cli.conftest import Ran

PACKAGE = Path(__file__).parents[2] / "examples" / "own_package"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The sample package as an installer lays it down: its modules, and what it registers beside them."""
    site = tmp_path / "site"
    shutil.copytree(PACKAGE / "src", site)
    info = site / "hwnas_sample-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hwnas-sample\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(_entry_points((PACKAGE / "pyproject.toml").read_text()))
    monkeypatch.syspath_prepend(site)
    yield site
    for name in [name for name in sys.modules if name.startswith("hwnas_sample")]:
        del sys.modules[name]


def _entry_points(project: str) -> str:
    """The entry points of a pyproject.toml in the form of an installed package."""
    lines = []
    for line in project.splitlines():
        if line.startswith("["):
            group = line.removeprefix('[project.entry-points."').removesuffix('"]')
            inside = group != line
            lines += [f"[{group}]"] if inside else []
        elif line.strip() and inside:
            lines.append(line.replace('"', ""))
    return "\n".join(lines) + "\n"


def test_each_addition_takes_one_file_of_at_most_60_lines() -> None:
    files = [path for path in (PACKAGE / "src" / "hwnas_sample").glob("*.py") if path.name != "__init__.py"]
    assert {path.stem for path in files} == {"space", "device", "dataset", "predictor"}
    for path in files:
        assert len(path.read_text().splitlines()) <= 60


def test_what_it_adds_is_listed_by_name(installed: Path) -> None:
    assert "sample-net" in space_names()
    assert "sample-chip" in device_names()
    assert "sample-stripes" in dataset_names()
    assert model_names()[-1] == "sample-ridge"


def test_its_device_measures_its_space_from_the_command_line(
    installed: Path, hwnas: Callable[..., Ran], tmp_path: Path
) -> None:
    described = hwnas("spaces", "sample-net", "--json")
    assert json.loads(described.out)["genes"]["ks"] == {"count": 4, "choices": [3, 5]}
    words = ("--device", "sample-chip", "--space", "sample-net", "--samples", 24, "--json")
    ran = hwnas("profile", *words, "--store", tmp_path / "store.sqlite")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["newly_measured"] == 24


def test_its_data_set_keeps_the_contract_and_trains_its_space(installed: Path, tmp_path: Path) -> None:
    data = hwnas.get_dataset("sample-stripes:32")
    assert hwnas.get_dataset("sample-stripes:32").fingerprint == data.fingerprint
    for name in SPLITS:
        split = data.split(name)
        assert np.bincount(split.labels).tolist() == [8, 8, 8, 8]
        assert split.images([3, 1]).shape == (2, 24, 24, 3)
    space = hwnas.get_space("sample-net", data.num_classes)
    recipe = replace(hwnas.preset("sandwich", space, epochs=1), batch_size=16)
    supernet = hwnas.load_supernet(hwnas.train(space, data, recipe, tmp_path / "net.safetensors"))
    assert supernet.space.name == "sample-net"
    with pytest.raises(hwnas.InputError, match="8 to 10000"):
        hwnas.get_dataset("sample-stripes:many")


@pytest.mark.parametrize("metric", ["latency_ms", "accuracy_top1"])
def test_its_predictor_is_fitted_saved_and_read_from_the_command_line(
    installed: Path, hwnas: Callable[..., Ran], tmp_path: Path, measured: Path, metric: str
) -> None:
    file = tmp_path / "own.json"
    words = ("--model", "sample-ridge", "--metric", metric, "--data", measured, "-o", file, "--json")
    fitted = hwnas("fit", *words)
    assert fitted.code == 0, fitted.err
    assert json.loads(fitted.out)["model"] == "sample-ridge"
    assert json.loads(fitted.out)["held_out"]["kendall_tau"] > 0.8
    scored = hwnas("score", file, "--data", measured, "--json")
    assert scored.code == 0, scored.err
    assert json.loads(scored.out)["spearman"] > 0.9


def test_a_search_prices_networks_by_its_predictors(
    installed: Path, hwnas: Callable[..., Ran], tmp_path: Path, measured: Path
) -> None:
    for metric in ("latency_ms", "accuracy_top1"):
        words = ("--model", "sample-ridge", "--metric", metric, "--data", measured, "-o", tmp_path / metric)
        assert hwnas("fit", *words).code == 0
    words = (
        "--accuracy-predictor",
        tmp_path / "accuracy_top1",
        "--latency-predictor",
        tmp_path / "latency_ms",
    )
    ran = hwnas("search", *words, "--target-latency", "0.5ms", "-o", tmp_path / "run", "--json")
    assert ran.code == 0, ran.err
    for one in json.loads(ran.out)["candidates"]:
        assert {figure["kind"] for figure in one["latency_ms"].values()} == {"predicted"}


def test_a_file_of_its_predictor_needs_the_package_and_a_sound_form(
    installed: Path,
    hwnas: Callable[..., Ran],
    tmp_path: Path,
    measured: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "own.json"
    assert hwnas("fit", "--model", "sample-ridge", "--data", measured, "-o", file).code == 0
    saved = json.loads(file.read_text())
    saved["regressor"]["fields"]["weights"].pop()
    (tmp_path / "spoilt.json").write_text(json.dumps(saved))
    refused = hwnas("score", tmp_path / "spoilt.json", "--data", measured)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "a weight for each choice" in refused.err
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one != str(installed)])
    refused = hwnas("score", file, "--data", measured)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "unknown predictor 'sample-ridge'" in refused.err


@pytest.mark.slow
def test_it_installs(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    words = ["install", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(tmp_path)]
    subprocess.run([sys.executable, "-m", "pip", *words, str(PACKAGE)], check=True, capture_output=True)
    code = "from hwnas.spaces import get_space; print(get_space('sample-net').name)"
    environment = {"PYTHONPATH": f"{tmp_path}:{PACKAGE.parents[1]}"}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "sample-net\n"
