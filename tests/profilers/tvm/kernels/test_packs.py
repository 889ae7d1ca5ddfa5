import json
import lzma
from dataclasses import replace
from pathlib import Path

import pytest

from hwnas.errors import InputError
from hwnas.profilers.machine.processor import LEVELS, processor_family
from hwnas.profilers.tvm.kernels import packs
from hwnas.profilers.tvm.kernels.packs import Pack, Schedule, pack_for, read_pack, tvm_version, write_pack
from hwnas.profilers.tvm.target import Target, targets_here

V2 = LEVELS["x86-64-v2"]
V3 = V2 | LEVELS["x86-64-v3"]
V4 = V3 | LEVELS["x86-64-v4"]
HERE = targets_here(features=V4)


def a_pack(mcpu: str = "x86-64-v3", space: str = "demo") -> Pack:
    schedules = {"k0": Schedule([[["GetSBlock", [], ["x", "main"], ["b0"]]], []], 1.5, 8)}
    return Pack(space, Target(mcpu=mcpu), str(tvm_version()), processor_family(), "2026-01-02", schedules)


def test_a_pack_survives_the_round_trip(tmp_path: Path) -> None:
    pack = a_pack()
    path = write_pack(pack, tmp_path)
    assert path.name == "demo.x86-64-v3.json.xz"
    assert read_pack(path) == pack


def test_equal_packs_give_equal_bytes(tmp_path: Path) -> None:
    first = write_pack(a_pack(), tmp_path / "a").read_bytes()
    assert write_pack(a_pack(), tmp_path / "b").read_bytes() == first


def test_the_digest_depends_on_what_is_compiled_alone() -> None:
    pack = a_pack()
    assert replace(pack, made="2020-01-01", processor="other").digest == pack.digest
    assert replace(pack, target=Target(mcpu="x86-64-v4")).digest != pack.digest
    assert replace(pack, schedules={"k0": Schedule([[], []], 1.5, 8)}).digest != pack.digest


def _packed(value: object) -> bytes:
    return lzma.compress(json.dumps(value).encode())


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: b"not a pack",
        lambda whole: whole[:-20],
        lambda whole: whole[:60] + bytes([whole[60] ^ 255]) + whole[61:],
        lambda whole: _packed([]),
        lambda whole: _packed({"format": 99}),
        lambda whole: _packed({**json.loads(lzma.decompress(whole)), "target": {"kind": "llvm"}}),
        lambda whole: _packed({**json.loads(lzma.decompress(whole)), "kernels": {"k0": {}}}),
        lambda whole: _packed(
            {
                **json.loads(lzma.decompress(whole)),
                "kernels": {"k": {"best_us": -1, "trials": 1, "trace": [[], []]}},
            }
        ),
        lambda whole: lzma.compress(b"[" * 100_000),
        lambda whole: lzma.compress(b"\xff\xfe"),
    ],
)
def test_a_damaged_pack_is_refused_in_one_line(damage: object, tmp_path: Path) -> None:
    path = write_pack(a_pack(), tmp_path)
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(InputError, match="schedule pack") as caught:
        read_pack(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_pack_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.json.xz"
    path.write_bytes(lzma.compress(b" " * 200_000))
    monkeypatch.setattr(packs, "_MAX_TEXT_BYTES", 100_000)
    with pytest.raises(InputError, match="too large"):
        read_pack(path)


def test_a_missing_pack_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        read_pack(tmp_path / "none.json.xz")


@pytest.mark.parametrize(("features", "target"), [(V4, "x86-64-v4"), (V3, "x86-64-v3"), (V2, None)])
def test_the_shipped_pack_is_the_best_the_processor_can_run(
    features: frozenset[str], target: str | None, tmp_path: Path
) -> None:
    pack = pack_for("demo", targets_here(features=features), tmp_path)
    assert (pack.target.name if pack else None) == target


def test_there_is_no_pack_of_other_spaces(tmp_path: Path) -> None:
    assert pack_for("ofa-mobilenetv3-w1.0", HERE, tmp_path) is None


def test_a_pack_made_here_goes_before_the_shipped_one(tmp_path: Path) -> None:
    write_pack(a_pack("x86-64-v4"), tmp_path)
    assert pack_for("demo", HERE, tmp_path) == a_pack("x86-64-v4")


def test_a_pack_of_a_lesser_target_does_not(tmp_path: Path) -> None:
    write_pack(a_pack("x86-64-v3"), tmp_path)
    found = pack_for("demo", HERE, tmp_path)
    assert found is not None
    assert found.target.name == "x86-64-v4"


@pytest.mark.parametrize("change", [{"processor": "Other-1-2"}, {"tvm": "0.1"}])
def test_a_pack_of_another_machine_or_tvm_does_not(change: dict[str, str], tmp_path: Path) -> None:
    write_pack(replace(a_pack("x86-64-v4"), **change), tmp_path)
    found = pack_for("demo", HERE, tmp_path)
    assert found is not None
    assert len(found.schedules) > 1


def test_shipped_packs_are_small_and_of_the_installed_tvm() -> None:
    shipped = sorted(packs.SHIPPED.glob("*.json.xz"))
    assert [path.name for path in shipped] == ["demo.x86-64-v3.json.xz", "demo.x86-64-v4.json.xz"]
    for path in shipped:
        assert path.stat().st_size < 150_000
        assert read_pack(path).tvm == tvm_version()


def test_packs_of_the_first_format_are_read(tmp_path: Path) -> None:
    pack = a_pack()
    path = write_pack(pack, tmp_path)
    value = json.loads(lzma.decompress(path.read_bytes()))
    value["format"], value["mcpu"] = 1, value.pop("target")["mcpu"]
    path.write_bytes(_packed(value))
    assert read_pack(path) == pack
    assert read_pack(path).id == pack.id


def test_a_pack_for_more_threads_is_another_one(tmp_path: Path) -> None:
    pack = replace(a_pack(), target=Target(mcpu="x86-64-v3", threads=2))
    write_pack(pack, tmp_path)
    assert pack_for("demo", [pack.target], tmp_path) == pack
    assert pack.digest != a_pack().digest
