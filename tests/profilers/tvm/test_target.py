import pytest

from hwnas.profilers.machine.processor import LEVELS
from hwnas.profilers.tvm.target import Target, targets_here


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (Target(mcpu="x86-64-v4"), "x86-64-v4"),
        (Target(mcpu="x86-64-v4", threads=2), "x86-64-v4-2t"),
        (Target(mcpu="cortex-a72", triple="aarch64-linux-gnu"), "cortex-a72"),
        (Target(mcpu="generic", triple="aarch64-linux-gnu"), "aarch64-generic"),
        (Target("cuda", "sm_80"), "cuda-sm_80"),
    ],
)
def test_names_tell_targets_apart(target: Target, name: str) -> None:
    assert target.name == name


def test_tvm_takes_them() -> None:
    made = Target(mcpu="cortex-a72", triple="aarch64-linux-gnu", threads=4).to_tvm()
    assert (str(made.attrs["mcpu"]), str(made.attrs["mtriple"])) == ("cortex-a72", "aarch64-linux-gnu")
    assert int(made.attrs["num-cores"]) == 4
    assert str(Target("cuda", "sm_80").to_tvm().attrs["arch"]) == "sm_80"


def test_the_best_level_comes_first() -> None:
    assert targets_here(2, LEVELS["x86-64-v2"]) == [Target(mcpu="x86-64-v2", threads=2)]
    assert targets_here(features=frozenset()) == []
