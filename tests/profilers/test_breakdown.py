"""Where the time goes: parts put together by kind, on made-up parts and on every runtime here."""

from pathlib import Path
from typing import Any

import pytest

from hwnas.profilers import get_device
from hwnas.profilers.breakdown import Breakdown, breakdown, broken_down
from hwnas.profilers.simulated import table_device
from hwnas.profilers.tables import BlockCost, BlockTable, block_key
from hwnas.profilers.tables.file import write_table
from hwnas.profilers.tvm.breakdown import step_ops
from hwnas.profilers.tvm.device import TvmDevice
from hwnas.profilers.tvm.kernels.plan import Step
from hwnas.spaces import Candidates, Layer, get_space
from tests.chains import residual_chain

CHAIN = (
    Layer("conv", 3, 8, 12, 3, 2, activation="relu", name="stem"),
    Layer("mbconv", 8, 8, 6, 3, mid_channels=24, se=True, activation="h_swish", name="b.1"),
    Layer("conv", 8, 16, 6, 3, activation="relu", name="b.10"),
    Layer("pool", 16, 16, 6, kernel=6, norm=False, name="pool"),
    Layer("linear", 16, 4, 1, norm=False, name="classifier"),
)


def kinds(found: Breakdown) -> dict[str, Any]:
    return {one.kind: pytest.approx(one.ms) for one in found.shares}


def largest_of_demo() -> tuple[Layer, ...]:
    space = get_space("demo")
    return Candidates.of_architectures(space, [space.largest()], 32).layers(0)


def test_parts_are_put_together_by_the_kinds_people_know() -> None:
    parts = {
        "stem.conv": 1.0,
        "b.1.expand.pre": 0.5,
        "b.1.expand": 0.25,
        "b.1.depthwise_kernel": 0.125,
        "b.1.se_pool": 0.1,
        "b.1.se_scale": 0.1,
        "b.1.project": 0.3,
        "b.1.add": 0.05,
        "b.10.conv": 2.0,
        "pool.pool": 0.01,
        "classifier.linear.flat": 0.02,
        "ReorderOutput_7": 0.2,
        "input.q": 0.0625,
        "b.10.conv.dq": 0.0375,
    }
    found = broken_down(CHAIN, parts, 5.0)
    assert kinds(found) == {
        "dense conv": 2.0,
        "pointwise conv": 1.05,
        "first conv": 1.0,
        "conversions": 0.3,
        "SE": 0.2,
        "depthwise conv": 0.125,
        "add": 0.05,
        "linear": 0.02,
        "pool": 0.01,
        "runtime overhead": 5.0 - 4.755,
    }
    assert [one.kind for one in found.shares][-1] == "runtime overhead"
    assert sum(one.percent for one in found.shares) == pytest.approx(100)
    assert found.telling_ms == 0


def test_a_layer_is_not_taken_for_another_whose_name_begins_alike() -> None:
    found = broken_down(CHAIN, {"b.10.conv": 1.0, "b.100.conv": 0.5}, 2.0)
    assert kinds(found) == {"dense conv": 1.0, "conversions": 0.5, "runtime overhead": 0.5}


def test_what_asking_cost_is_taken_off_each_part_alike() -> None:
    found = broken_down(CHAIN, {"stem.conv": 3.0, "b.10.conv": 2.0, "pool.pool": 0.1}, 4.0)
    # 0.1 cannot give half a millisecond; the other two give what is left.
    assert found.telling_ms == pytest.approx(0.5)
    assert kinds(found) == {"first conv": 2.5, "dense conv": 1.5, "pool": 0.0, "runtime overhead": 0.0}


def test_devices_that_know_whole_blocks_only_say_so(tmp_path: Path) -> None:
    rows = {block_key(layer): BlockCost(1.0) for layer in residual_chain(33)}
    path = tmp_path / "t.csv"
    write_table(path, BlockTable("board", rows, BlockCost(0.5)))
    found = breakdown(table_device(path), residual_chain(33))
    assert found is not None
    assert kinds(found) == {
        "bottlenecks": 4.0,
        "dense conv": 2.0,
        "pool": 2.0,
        "first conv": 1.0,
        "linear": 1.0,
        "runtime overhead": 0.5,
    }


def test_a_model_of_operations_breaks_blocks_down() -> None:
    space = get_space("demo")
    layers = Candidates.of_architectures(space, [space.largest()], 8).layers(0)
    found = breakdown(get_device("fpga-zcu102-dpu"), layers)
    assert found is not None
    assert {"first conv", "pointwise conv", "depthwise conv", "SE", "add", "pool", "linear"} <= set(
        kinds(found)
    )
    assert found.whole_ms == pytest.approx(sum(one.ms for one in found.shares))


def test_onnx_runtime_tells_its_nodes() -> None:
    found = breakdown(get_device("cpu-ort"), largest_of_demo())
    assert found is not None
    assert {"first conv", "pointwise conv", "depthwise conv", "SE", "linear"} <= set(kinds(found))
    assert found.whole_ms == pytest.approx(sum(one.ms for one in found.shares))


def test_tvm_tells_its_kernels(compiled_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWNAS_HOME", str(compiled_home))
    device = TvmDevice(get_space("demo"))
    if device.unavailable():
        pytest.skip(str(device.unavailable()))
    found = breakdown(device, largest_of_demo())
    assert found is not None
    assert {"first conv", "pointwise conv", "depthwise conv", "SE", "pool", "linear"} <= set(kinds(found))
    assert "conversions" not in kinds(found)
    assert found.whole_ms == pytest.approx(sum(one.ms for one in found.shares))


def test_steps_without_weights_are_the_operation_after_the_last_one_with_weights() -> None:
    layer = CHAIN[1]
    reads = [("x", "w0", "w1"), ("t0", "w2", "w3"), ("t1",), ("t2",), ("t3", "w4", "w5")]
    reads += [("t4", "w6", "w7"), ("t1", "t5"), ("t6", "w8", "w9", "x")]
    steps = [Step(f"k{i}", arguments, (1,)) for i, arguments in enumerate(reads)]
    names = ["expand", "depthwise", "se_pool", "se_pool", "se_reduce", "se_expand", "se_scale", "project"]
    assert step_ops(layer, steps) == names
    assert step_ops(CHAIN[3], [Step("k", ("x",), (1,))]) == ["pool"]
