"""Planned memory, against the plan that TVM itself makes of the same calls."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.profilers.tvm.compiled.assemble import Call, calls_of, place_values
from hwnas.profilers.tvm.compiled.library import Kernel, Library
from hwnas.profilers.tvm.compiled.memory import planned_memory
from hwnas.profilers.tvm.compiled.workspace import workspace_bytes
from hwnas.profilers.tvm.device import TvmDevice
from hwnas.profilers.tvm.intrinsics import prepare_tvm
from hwnas.profilers.tvm.kernels.plan import SpaceKernels, kernels_of, space_layers
from hwnas.profilers.tvm.target import Target
from hwnas.spaces import Candidates, Layer, get_space
from tests.chains import at_bits

DEMO = get_space("demo")


def demo_chains(n: int) -> list[tuple[Layer, ...]]:
    genomes = DEMO.sample_genomes(n, np.random.default_rng(4))
    chosen = Candidates.of_genomes(DEMO, genomes)
    return [chosen.layers(row) for row in range(n)]


def planned_by_tvm(calls: Sequence[Call], image_shape: tuple[int, ...]) -> int:
    """The bytes of the storages in TVM's static plan of a network that makes these calls."""
    import tvm
    from tvm import relax
    from tvm.relax import transform

    def kind(shape: Sequence[int], dtype: str) -> Any:
        return relax.TensorType(tuple(shape), dtype)

    builder = relax.BlockBuilder()
    x = relax.Var("x", kind(image_shape, "float32"))
    values = [x]
    with builder.function("main", [x]):
        with builder.dataflow():
            for call in calls:
                inputs = [values[number] for what, number in call.inputs if what == "value"]
                made = kind(call.out_shape, getattr(call, "dtype", "float32"))
                values.append(builder.emit(relax.call_dps_packed(call.kernel, inputs, made)))
            out = builder.emit_output(values[-1])
        builder.emit_func_output(out)
    passes = [
        transform.RewriteDataflowReshape(),
        transform.ToNonDataflow(),
        transform.RemovePurityChecking(),
        transform.CallTIRRewrite(),
        transform.StaticPlanBlockMemory(),
    ]
    lowered = tvm.transform.Sequential(passes)(builder.get())
    sizes: list[int] = []

    def visit(node: Any) -> None:
        if isinstance(node, relax.Call) and getattr(node.op, "name", "") == "relax.memory.alloc_storage":
            sizes.append(int(node.args[0].values[0]))

    relax.analysis.post_order_visit(lowered["main"], visit)
    return sum(sizes)


def test_storages_are_as_tvm_plans_them(demo_kernels: SpaceKernels) -> None:
    ratios = []
    for layers in demo_chains(20):
        calls = calls_of(layers, demo_kernels.plan)
        image = (1, layers[0].in_channels, layers[0].in_size_px, layers[0].in_size_px)
        _, _, sizes = place_values(calls)
        ratios.append(sum(sizes) / planned_by_tvm(calls, image))
    assert max(ratios) < 1.2
    assert np.exp(np.mean(np.log(ratios))) < 1.03


def with_workspaces(kernels: SpaceKernels, bytes_of: dict[str, int]) -> Library:
    """A library of kernels that nobody compiled."""
    known = {key: Kernel(1, 1.0, None, False, bytes_of.get(key, 0)) for key in kernels.functions}
    return Library(Path(), Target(), "none", kernels.plan, known)


def test_planned_memory_is_at_least_what_is_alive_at_once(demo_kernels: SpaceKernels) -> None:
    chosen = Candidates.of_genomes(DEMO, DEMO.sample_genomes(50, np.random.default_rng(4)))
    analytic = chosen.costs().peak_memory_bytes
    library = with_workspaces(demo_kernels, {})
    for row in range(len(chosen)):
        layers = chosen.layers(row)
        found = planned_memory(layers, library)
        assert found.total_bytes == found.image_bytes + found.map_bytes + found.output_bytes
        assert found.image_bytes == 4 * 3 * layers[0].in_size_px ** 2
        assert analytic[row] <= found.total_bytes <= 3 * analytic[row]


def test_the_largest_workspace_counts_once(demo_kernels: SpaceKernels) -> None:
    layers = demo_chains(1)[0]
    used = [call.kernel for call in calls_of(layers, demo_kernels.plan)]
    unused = next(key for key in demo_kernels.functions if key not in used)
    library = with_workspaces(demo_kernels, {used[0]: 100, used[-1]: 700, unused: 9000})
    found = planned_memory(layers, library)
    assert found.workspace_bytes == 700
    assert found.to_json()["total_bytes"] == found.total_bytes
    without = planned_memory(layers, with_workspaces(demo_kernels, {}))
    assert found.total_bytes == without.total_bytes + 700


def test_maps_of_eight_bits_take_a_quarter_and_those_that_stay_float_do_not() -> None:
    library = with_workspaces(kernels_of(space_layers(DEMO, (32, 8))), {})
    plain = demo_chains(1)[0]
    found = [planned_memory(layers, library) for layers in (plain, at_bits(plain, 8))]
    float_maps, byte_maps = (one.map_bytes for one in found)
    assert float_maps / 4 <= byte_maps <= float_maps / 2
    assert found[0].image_bytes == found[1].image_bytes
    assert found[0].output_bytes == found[1].output_bytes


def test_the_device_knows_its_kernels_workspaces(demo_device: TvmDevice) -> None:
    layers = demo_chains(1)[0]
    found = demo_device.planned_memory(layers)
    assert found.workspace_bytes > 0
    assert found.workspace_bytes < found.map_bytes


def test_kernels_without_schedules_allocate_their_padded_input() -> None:
    prepare_tvm()
    import tvm
    from tvm import te, topi

    x = te.placeholder((1, 10, 10, 4), name="x")
    w = te.placeholder((3, 3, 4, 8), name="w")
    out = topi.nn.conv2d_nhwc(x, w, 1, 1, 1)
    function = te.create_prim_func([x, w, out])
    found = workspace_bytes(tvm.IRModule({"main": function}), Target(mcpu="x86-64-v2").to_tvm())
    assert found == 4 * 12 * 12 * 4
