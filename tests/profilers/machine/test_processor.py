from pathlib import Path

import pytest

from hwnas.profilers.machine.folders import cache_home, data_home
from hwnas.profilers.machine.processor import LEVELS, levels_here

V2 = LEVELS["x86-64-v2"]
V3 = V2 | LEVELS["x86-64-v3"]
V4 = V3 | LEVELS["x86-64-v4"]


@pytest.mark.parametrize(
    ("features", "levels"),
    [
        (V4 | {"avx512_vnni"}, ["x86-64-v4", "x86-64-v3", "x86-64-v2"]),
        (V4 - {"avx512dq"}, ["x86-64-v3", "x86-64-v2"]),
        (V4 - {"fma"}, ["x86-64-v2"]),
        (V2, ["x86-64-v2"]),
        (frozenset({"sse2"}), []),
        (frozenset(), []),
    ],
)
def test_a_level_needs_all_flags_of_its_own_and_of_the_ones_below(
    features: frozenset[str], levels: list[str]
) -> None:
    assert levels_here(features) == levels


def test_home_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWNAS_HOME", "/h")
    assert (data_home(), cache_home()) == (Path("/h"), Path("/h"))
    monkeypatch.delenv("HWNAS_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    monkeypatch.setenv("XDG_DATA_HOME", "/d")
    assert (data_home(), cache_home()) == (Path("/d/hwnas"), Path("/c/hwnas"))
