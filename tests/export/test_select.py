import subprocess
import sys

import pytest

from hwnas.errors import InputError
from hwnas.export.select import select
from hwnas.search.front import Member


def member(id: str, latency_ms: float, accuracy: float) -> Member:
    return Member(
        id=id,
        deploy_on="cpu",
        architecture={},
        bits={"weights": [], "activations": []},
        accuracy_top1={"value": accuracy},
        latency_ms={"cpu": {"value": latency_ms}},
        size_bytes=1,
        macs=1,
        params=1,
        bitops=1,
        peak_memory_bytes=1,
    )


# From (1, 50) to (11, 90): (2, 80) is far above the line, (6, 84) a little.
FRONT = [
    member("aaaa000000", 1, 50),
    member("aabb000000", 2, 80),
    member("bbbb000000", 6, 84),
    member("cccc000000", 11, 90),
]


def ids(*choices: str) -> list[str]:
    return [one.id[:4] for one in select(FRONT, choices)]


def test_the_extremes_and_the_knee() -> None:
    assert ids("fastest") == ["aaaa"]
    assert ids("best") == ["cccc"]
    assert ids("knee") == ["aabb"]
    assert ids("all") == ["aaaa", "aabb", "bbbb", "cccc"]


def test_several_choices_keep_the_order_of_the_front_and_repeat_nothing() -> None:
    assert ids("best", "knee", "fastest", "best") == ["aaaa", "aabb", "cccc"]


def test_an_id_or_its_beginning_selects_one() -> None:
    assert ids("bbbb000000") == ["bbbb"]
    assert ids("cccc") == ["cccc"]


@pytest.mark.parametrize("choice", ["aa", "bbb", "dddd", "Knee", ""])
def test_what_selects_none_or_several_is_refused(choice: str) -> None:
    with pytest.raises(InputError, match="unknown selection"):
        select(FRONT, [choice])


def test_the_more_accurate_of_equally_fast_is_not_lost_and_ties_go_to_the_faster() -> None:
    equal = [member("aaaa000000", 2, 80), member("bbbb000000", 1, 80)]
    assert [one.id for one in select(equal, ["best"])] == ["bbbb000000"]


def test_a_front_of_one_is_its_own_knee() -> None:
    assert select(FRONT[:1], ["knee"]) == FRONT[:1]


def test_an_empty_front_is_refused() -> None:
    with pytest.raises(InputError, match="empty"):
        select([], ["knee"])


def test_importing_what_exports_loads_neither_torch_nor_a_runtime() -> None:
    modules = [
        f"hwnas.export.{name}"
        for name in ("accuracy", "claims", "gate", "manifest", "onnx", "select", "verify")
    ]
    script = (
        f"import sys, {', '.join(modules)}\n"
        "heavy = {'torch', 'tvm', 'onnxruntime', 'sklearn', 'pymoo'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
