"""A package from outside adds a space, a device and a data set, each in one short file."""

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
    assert {path.stem for path in files} == {"space", "device", "dataset"}
    for path in files:
        assert len(path.read_text().splitlines()) <= 60


def test_what_it_adds_is_listed_by_name(installed: Path) -> None:
    assert "sample-net" in space_names()
    assert "sample-chip" in device_names()
    assert "sample-stripes" in dataset_names()


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
