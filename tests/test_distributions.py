"""What is handed out: the source archive and the wheel built from it hold all that hwnas needs."""

import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import hwnas

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked source archive."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("source")
    build(ROOT, folder, "sdist")
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel built from the source archive, as an installer lays it down."""
    folder = tmp_path_factory.mktemp("wheel")
    build(source, folder, "wheel")
    (file,) = folder.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def build(project: Path, folder: Path, target: str) -> None:
    words = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(words, cwd=project, check=True, capture_output=True)


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder by name, without what Python compiled."""
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_the_wheel_holds_every_file_of_the_package_and_no_other(wheel: Path) -> None:
    assert {path.name for path in wheel.iterdir()} == {"hwnas", f"hwnas-{hwnas.__version__}.dist-info"}
    assert contents(wheel / "hwnas") == contents(ROOT / "hwnas")
    assert (wheel / "hwnas" / "py.typed").is_file()


@pytest.mark.parametrize("folder", ["tests", "docs", "examples", "benchmarks", "scripts"])
def test_the_source_archive_holds_what_checks_and_documents_it(source: Path, folder: str) -> None:
    assert contents(source / folder) == contents(ROOT / folder)


def test_its_metadata_name_the_command_the_licence_and_every_extra(wheel: Path) -> None:
    (info,) = wheel.glob("*.dist-info")
    metadata = Parser().parsestr((info / "METADATA").read_text(encoding="utf-8"))
    assert metadata["License-Expression"] == "Apache-2.0"
    assert (info / "licenses" / "LICENSE").is_file()
    assert "hwnas = hwnas.cli.main:main" in (info / "entry_points.txt").read_text()
    assert set(metadata.get_all("Provides-Extra", [])) >= {"augment", "cross", "nvml", "ray", "tensorboard"}


def test_it_reads_its_own_data_away_from_the_repository(wheel: Path, tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(wheel)!r})\n"
        "opened = []\n"
        "sys.addaudithook(lambda event, found: opened.append(str(found[0])) if event == 'open' else None)\n"
        "import hwnas\n"
        "from hwnas.cli.options import opened_supernet\n"
        "from hwnas.profilers.energy.model import read_energy_model\n"
        "space = opened_supernet(None).space\n"
        "hwnas.get_device('bismo', space).table(space), read_energy_model()\n"
        "print(*(one for one in opened if '/hwnas/' in one and '.py' not in one), sep='\\n')\n"
    )
    ran = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    read = set(ran.stdout.split())
    assert {Path(one).name for one in read} >= {"bismo.yaml", "constants.yaml"}
    assert all(one.startswith(f"{wheel}/hwnas/") for one in read)
