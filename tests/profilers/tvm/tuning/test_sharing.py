from dataclasses import replace
from pathlib import Path

import pytest

from hwnas.errors import InputError
from hwnas.profilers.tvm.kernels.packs import Pack, Schedule, read_pack, tvm_version, write_pack
from hwnas.profilers.tvm.target import Target
from hwnas.profilers.tvm.tuning.sharing import export_pack, import_pack


def a_pack(**best_us: float) -> Pack:
    schedules = {key: Schedule([[], []], one, 8) for key, one in best_us.items()}
    return Pack("demo", Target(mcpu="x86-64-v3"), str(tvm_version()), "Vendor-1-2", "2026-01-02", schedules)


def test_an_exported_pack_can_be_imported(tmp_path: Path) -> None:
    pack = a_pack(a=1.0, b=2.0)
    assert export_pack(pack, tmp_path / "shared.json.xz") > 0
    assert import_pack(tmp_path / "shared.json.xz", tmp_path / "own") == pack
    assert read_pack(tmp_path / "own" / "demo.x86-64-v3.json.xz") == pack


def test_the_better_record_of_each_kernel_is_kept(tmp_path: Path) -> None:
    write_pack(a_pack(a=1.0, b=2.0, c=3.0), tmp_path / "own")
    export_pack(a_pack(a=1.5, b=1.5, d=4.0), tmp_path / "shared.json.xz")
    merged = import_pack(tmp_path / "shared.json.xz", tmp_path / "own")
    assert {key: one.best_us for key, one in merged.schedules.items()} == {
        "a": 1.0,
        "b": 1.5,
        "c": 3.0,
        "d": 4.0,
    }


def test_a_pack_of_another_family_replaces(tmp_path: Path) -> None:
    write_pack(a_pack(a=1.0), tmp_path / "own")
    other = replace(a_pack(b=9.0), processor="Other-1-2")
    export_pack(other, tmp_path / "shared.json.xz")
    assert import_pack(tmp_path / "shared.json.xz", tmp_path / "own") == other


def test_a_pack_of_another_tvm_is_refused(tmp_path: Path) -> None:
    export_pack(replace(a_pack(a=1.0), tvm="0.1"), tmp_path / "shared.json.xz")
    with pytest.raises(InputError, match=r"must be of TVM .* but is of 0\.1"):
        import_pack(tmp_path / "shared.json.xz", tmp_path / "own")


def test_a_file_that_is_no_pack_is_refused(tmp_path: Path) -> None:
    (tmp_path / "shared.json.xz").write_bytes(b"no")
    with pytest.raises(InputError, match="schedule pack"):
        import_pack(tmp_path / "shared.json.xz", tmp_path / "own")


def test_other_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must end in \.json\.xz"):
        export_pack(a_pack(a=1.0), tmp_path / "shared.zip")
