"""Libraries for other machines, as far as they can be looked at here."""

import shutil
import tarfile
from pathlib import Path

import pytest

from hwnas.errors import MeasurementError
from hwnas.profilers.tvm.compiled.assemble import export
from hwnas.profilers.tvm.compiled.cross import (
    Archiver,
    Linker,
    artefact_format,
    linker_for,
    machine_of,
)
from hwnas.profilers.tvm.compiled.library import Library, open_library
from hwnas.profilers.tvm.kernels.packs import Pack, tvm_version
from hwnas.profilers.tvm.target import Target
from hwnas.spaces import Network, get_space, random_network

DEMO = get_space("demo")
ARM = Target(mcpu="cortex-a72", triple="aarch64-linux-gnu")


def elf_machine(data: bytes) -> str:
    """The machine that an ELF file is for; its number where it is a rarer one."""
    assert data[:4] == b"\x7fELF"
    number = int.from_bytes(data[18:20], "little" if data[5] == 1 else "big")
    return {62: "x86_64", 183: "aarch64"}.get(number, str(number))


@pytest.fixture(scope="module")
def smallest() -> Network:
    return random_network(DEMO.layers(DEMO.smallest()))


@pytest.fixture(scope="module")
def arm_library(tmp_path_factory: pytest.TempPathFactory, smallest: Network) -> Library:
    """The smallest demo network's kernels for a Raspberry Pi 4, not tuned."""
    pack = Pack(DEMO.key, ARM, str(tvm_version()), "remote-cortex-a72", "", {})
    layers = [(layer, index == 0) for index, layer in enumerate(smallest.layers)]
    return open_library(list(dict.fromkeys(layers)), pack, tmp_path_factory.mktemp("arm"))


def test_object_files_are_of_the_other_machine(arm_library: Library) -> None:
    found = {elf_machine(path.read_bytes()) for path in arm_library.folder.glob("*.o")}
    assert found == {"aarch64"}
    assert "demo.cortex-a72" in arm_library.pack


def test_a_tar_holds_all_that_the_other_machine_must_link(
    arm_library: Library, smallest: Network, tmp_path: Path
) -> None:
    export(smallest, arm_library, tmp_path / "model.tar", Archiver(ARM.triple))
    with tarfile.open(tmp_path / "model.tar") as archive:
        data = [file.read() for one in archive if (file := archive.extractfile(one))]
    assert len(data) > 10
    assert {elf_machine(one) for one in data} == {"aarch64"}


def test_a_library_is_linked_where_something_here_can(
    arm_library: Library, smallest: Network, tmp_path: Path
) -> None:
    linker = linker_for(ARM.triple)
    if linker is None:
        pytest.skip("nothing here links for ARM")
    export(smallest, arm_library, tmp_path / "model.so", linker)
    assert elf_machine((tmp_path / "model.so").read_bytes()) == "aarch64"


def test_linkers_are_looked_for_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    here: set[str] = set()
    monkeypatch.setattr(shutil, "which", lambda name: name if name in here else None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert linker_for(ARM.triple) is None
    assert artefact_format(ARM.triple) == (".tar", Archiver(ARM.triple))
    here.add("ld.lld")
    assert linker_for("x86_64-linux-gnu") == Linker("x86_64-linux-gnu", "ld.lld", ("ld.lld", "--strip-all"))
    here.add("gcc")
    assert linker_for("") == Linker(f"{machine_of('')}-linux-gnu", "gcc", ("gcc",))
    other = "x86_64-linux-gnu" if machine_of("") == "aarch64" else ARM.triple
    found = linker_for(other)
    assert found is not None
    assert found.name == "ld.lld"
    here.add(f"{machine_of(other)}-linux-gnu-gcc")
    name = f"{machine_of(other)}-linux-gnu-gcc"
    assert artefact_format(other) == (".so", Linker(f"{machine_of(other)}-linux-gnu", name, (name,)))


def test_what_a_linker_says_is_passed_on(tmp_path: Path) -> None:
    linker = Linker("any", "sh", ("sh", "-c", "echo no such symbol >&2; exit 1"))
    with pytest.raises(MeasurementError, match=r"sh cannot link .*: no such symbol"):
        linker(str(tmp_path / "out.so"), [])
