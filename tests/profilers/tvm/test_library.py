from dataclasses import replace
from pathlib import Path

import pytest

from hwnas.errors import InputError
from hwnas.profilers.tvm.kernels import LayerKey, kernels_of
from hwnas.profilers.tvm.library import has_linker, open_library
from hwnas.profilers.tvm.packs import Pack, Schedule, tvm_version
from hwnas.spaces import Layer

LAYERS: list[LayerKey] = [
    (Layer("pool", 8, 8, 2, kernel=2, norm=False), False),
    (Layer("linear", 8, 10, 1, norm=False), False),
]


@pytest.fixture(scope="module")
def pack() -> Pack:
    unscheduled = {key: Schedule([[], []], 1.0, 1) for key in kernels_of(LAYERS).functions}
    return Pack("tiny", "x86-64-v2", str(tvm_version()), "any", "2026-01-02", unscheduled)


def objects(folder: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.glob("*.o")}


def test_kernels_are_compiled_once(pack: Pack, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    first = open_library(LAYERS, pack, tmp_path, lambda done, total: seen.append((done, total)))
    assert seen == [(0, 2), (1, 2), (2, 2)]
    before = objects(first.folder)
    again = open_library(LAYERS, pack, tmp_path, lambda done, total: seen.append((done, total)))
    assert again == first
    assert objects(first.folder) == before
    assert len(seen) == 3


def test_other_schedules_make_another_library(pack: Pack, tmp_path: Path) -> None:
    first = open_library(LAYERS, pack, tmp_path)
    other = open_library(LAYERS, replace(pack, mcpu="x86-64-v3"), tmp_path)
    assert first.folder != other.folder


@pytest.mark.parametrize("harm", ["truncate", "remove", "table"])
def test_a_damaged_library_is_made_again(harm: str, pack: Pack, tmp_path: Path) -> None:
    library = open_library(LAYERS, pack, tmp_path)
    victim = library.folder / "table.json" if harm == "table" else next(library.folder.glob("*.o"))
    if harm == "remove":
        victim.unlink()
    else:
        victim.write_bytes(victim.read_bytes()[:-5])
    again = open_library(LAYERS, pack, tmp_path)
    assert again == library
    assert len(objects(library.folder)) == 2


def test_what_a_killed_process_left_is_no_library(pack: Pack, tmp_path: Path) -> None:
    folder = open_library(LAYERS, pack, tmp_path).folder
    (folder / "table.json").unlink()
    folder.rename(folder.with_name(f"{folder.name}.draft"))
    library = open_library(LAYERS, pack, tmp_path)
    assert library.folder == folder
    assert sorted(path.name for path in tmp_path.iterdir()) == [folder.name, f"{folder.name}.lock"]


def test_a_kernel_the_pack_lacks_is_named_and_nothing_compiled(pack: Pack, tmp_path: Path) -> None:
    key = kernels_of(LAYERS[1:]).plan[LAYERS[1]][0].kernel
    kept = {k: v for k, v in pack.schedules.items() if k != key}
    with pytest.raises(InputError, match=rf"{key} \(linear 8->10 at 1 px\).*--tune-budget"):
        open_library(LAYERS, replace(pack, schedules=kept), tmp_path)
    assert not list(tmp_path.glob("**/*.o"))


def test_a_schedule_of_another_kernel_is_refused(pack: Pack, tmp_path: Path) -> None:
    wrong = Schedule([[["GetSBlock", [], ["no_such_block", "main"], ["b0"]]], []], 1.0, 1)
    with pytest.raises(InputError, match="does not fit kernel k"):
        open_library(LAYERS, replace(pack, schedules=dict.fromkeys(pack.schedules, wrong)), tmp_path)


def test_a_place_that_cannot_be_written_is_refused(pack: Pack, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="HWNAS_HOME"):
        open_library(LAYERS, pack, tmp_path / "file" / "kernels")


def test_the_linker_is_looked_for_as_tvm_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.delenv("CC", raising=False)
    assert not has_linker()
    (tmp_path / "gcc").write_text("#!/bin/sh\n")
    (tmp_path / "gcc").chmod(0o755)
    assert has_linker()
    monkeypatch.setenv("CXX", "missing-compiler")
    assert not has_linker()
