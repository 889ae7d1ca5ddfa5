from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from hwnas.errors import InputError
from hwnas.profilers.tvm.compiled.library import Coverage, has_linker, open_library
from hwnas.profilers.tvm.kernels.packs import Pack, Schedule, tvm_version
from hwnas.profilers.tvm.kernels.plan import LayerKey, kernels_of
from hwnas.profilers.tvm.target import Target
from hwnas.spaces import Layer

LAYERS: list[LayerKey] = [
    (Layer("pool", 8, 8, 2, kernel=2, norm=False), False),
    (Layer("linear", 8, 10, 1, norm=False), False),
]


@pytest.fixture(scope="module")
def pack() -> Pack:
    unscheduled = {key: Schedule([[], []], 1.0, 1) for key in kernels_of(LAYERS).functions}
    return Pack("tiny", Target(mcpu="x86-64-v2"), str(tvm_version()), "any", "2026-01-02", unscheduled)


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
    other = open_library(LAYERS, replace(pack, target=Target(mcpu="x86-64-v3")), tmp_path)
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


def test_what_a_killed_process_left_is_no_kernel(pack: Pack, tmp_path: Path) -> None:
    library = open_library(LAYERS, pack, tmp_path)
    (library.folder / "table.json").unlink()
    victim = next(library.folder.glob("*.o"))
    whole = victim.read_bytes()
    victim.write_bytes(whole[:100])
    assert open_library(LAYERS, pack, tmp_path) == library
    assert victim.read_bytes() == whole


def test_interrupted_it_goes_on_with_the_kernels_that_are_made(pack: Pack, tmp_path: Path) -> None:
    def interrupt(done: int, _total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_library(LAYERS, pack, tmp_path, interrupt)
    left: list[int] = []
    whole = open_library(LAYERS, pack, tmp_path, lambda _done, total: left.append(total))
    assert left == [1, 1]
    assert set(whole.plan) == set(LAYERS)
    assert open_library(LAYERS, pack, tmp_path) == whole


def test_a_library_grows_by_the_layers_asked_for(pack: Pack, tmp_path: Path) -> None:
    pool = open_library(LAYERS[:1], pack, tmp_path)
    assert set(pool.plan) == set(LAYERS[:1])
    before = objects(pool.folder)
    both = open_library(LAYERS[1:], pack, tmp_path)
    assert both.folder == pool.folder
    assert set(both.plan) == set(LAYERS)
    assert before.items() < objects(both.folder).items()
    assert open_library(LAYERS, pack, tmp_path) == both


def test_processes_that_grow_a_library_together_lose_nothing(pack: Pack, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda layer: open_library([layer], pack, tmp_path), LAYERS))
    assert set(open_library([], pack, tmp_path).plan) == set(LAYERS)


def test_a_kernel_the_pack_lacks_is_compiled_by_rule_and_counted(pack: Pack, tmp_path: Path) -> None:
    pool, linear = (kernels_of([one]).plan[one][0].kernel for one in LAYERS)
    kept = {key: one for key, one in pack.schedules.items() if key != linear}
    library = open_library(LAYERS, replace(pack, schedules=kept), tmp_path)
    assert library.kernels[linear].made == "rule"
    assert library.coverage([linear]) == Coverage(0.0, 0.0, 100.0)
    assert library.coverage([pool]) == Coverage(100.0, 100.0, 0.0)
    both = library.coverage([pool, linear])
    assert both.flops_percent == pytest.approx(100 * 40 / (40 + 2 * 8 * 16 + 16))
    assert both.time_percent == pytest.approx(both.flops_percent)
    assert both.flops_percent + both.ruled_flops_percent == pytest.approx(100.0)


def test_without_a_linker_kernels_are_kept_as_code(pack: Pack, tmp_path: Path) -> None:
    library = open_library(LAYERS, pack, tmp_path, linkable=False)
    assert open_library(LAYERS, pack, tmp_path, linkable=False) == library
    assert not list(library.folder.glob("*.o"))
    assert all(library.object_file(key).suffix == ".ll" for key in library.kernels)


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
