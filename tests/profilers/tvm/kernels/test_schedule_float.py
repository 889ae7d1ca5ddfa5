import numpy as np
import pytest

from hwnas.profilers.tvm.kernels.plan import SpaceKernels, kernel_module
from hwnas.profilers.tvm.kernels.schedule_float import default_schedule, sketches, tiles
from hwnas.profilers.tvm.target import Target


def run(module: object, target: Target, arguments: list[np.ndarray]) -> np.ndarray:
    import tvm

    held = [tvm.runtime.tensor(one) for one in arguments]
    tvm.compile(module, target.to_tvm()).mod["main"](*held)
    return held[-1].numpy()


def arguments_of(module: object) -> list[np.ndarray]:
    from tvm.s_tir.meta_schedule.arg_info import ArgInfo

    rng = np.random.default_rng(0)
    shapes = [tuple(map(int, one.shape)) for one in ArgInfo.from_prim_func(module["main"])]  # type: ignore[index]
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


@pytest.mark.parametrize("target", [Target(mcpu="x86-64-v2"), Target(mcpu="x86-64-v2", threads=2)])
def test_schedules_by_rule_compute_the_same(demo_kernels: SpaceKernels, target: Target) -> None:
    """Every tenth kernel; each kind is among them."""
    import tvm

    for key in sorted(demo_kernels.functions)[::10]:
        module = kernel_module(demo_kernels.functions[key])
        arguments = arguments_of(module)
        plain = run(tvm.s_tir.Schedule(module).mod, target, arguments)
        for sketch in sketches(module, target, most=2):
            np.testing.assert_allclose(run(sketch.mod, target, arguments), plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("mcpu", ["x86-64-v2", "x86-64-v3", "x86-64-v4"])
def test_every_kernel_of_the_demo_space_has_a_schedule(demo_kernels: SpaceKernels, mcpu: str) -> None:
    for function in demo_kernels.functions.values():
        assert next(sketches(kernel_module(function), Target(mcpu=mcpu), most=1), None) is not None


def test_other_targets_take_tvms_default(demo_kernels: SpaceKernels) -> None:
    module = kernel_module(next(iter(demo_kernels.functions.values())))
    assert not list(sketches(module, Target("cuda", "sm_80"), most=1))
    assert default_schedule(module, Target("cuda", "sm_80")).trace.insts == []


@pytest.mark.parametrize("grouped", [False, True])
def test_tiles_divide_the_kernel_and_fit_the_registers(grouped: bool) -> None:
    found = tiles(12, 12, 9, 24, 28, grouped)
    assert len(set(found)) == len(found) > 10
    for tile in found:
        assert 12 % tile.rows == 12 % tile.columns == 9 % tile.vectors == 24 % tile.depth == 0
        assert tile.rows * tile.columns * tile.vectors <= 28
