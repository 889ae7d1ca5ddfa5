"""The kernels of a space: every layer as calls of a few fused kernels that all subnets share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwnas.errors import InputError
from hwnas.profilers.tvm.emit import emit_layers
from hwnas.profilers.tvm.intrinsics import prepare_tvm
from hwnas.profilers.tvm.packs import Schedule
from hwnas.spaces import Layer, Space

LayerKey = tuple[Layer, bool]


@dataclass(frozen=True)
class Step:
    """One call of a kernel inside a layer.

    Attributes:
        kernel: the kernel's key.
        arguments: `x` the layer's input, `wI` its weight number I, `tI` the result of step I.
        out_shape: of the float32 map it makes.
    """

    kernel: str
    arguments: tuple[str, ...]
    out_shape: tuple[int, ...]


Plan = Mapping[LayerKey, tuple[Step, ...]]


@dataclass(frozen=True)
class SpaceKernels:
    """The unique kernels of some layers.

    Attributes:
        functions: unscheduled PrimFuncs by key.
        plan: the steps of each (layer, whether it comes first in its chain).
    """

    functions: Mapping[str, Any]
    plan: Plan


def target_of(mcpu: str) -> Any:
    """Returns TVM's target for one core of a processor, such as `x86-64-v4` or `znver4`."""
    prepare_tvm()
    import tvm

    return tvm.target.Target({"kind": "llvm", "mcpu": mcpu, "num-cores": 1})


def space_layers(space: Space) -> list[LayerKey]:
    """Returns every layer of a space, with whether it comes first, in a fixed order."""
    ids = space.layer_ids(space.genomes(space.covering()))
    first = set(ids[:, 0].tolist())
    later = set(ids[:, 1:].ravel().tolist()) - {-1}
    keys = [(space.vocabulary[i], True) for i in sorted(first)]
    return keys + [(space.vocabulary[i], False) for i in sorted(later)]


def kernels_of(layers: Sequence[LayerKey]) -> SpaceKernels:
    """Returns the unique fused kernels of layers and how each layer calls them.

    Fusing never crosses a layer's end, since the next one begins with a convolution, a pool or a
    matrix product; so kernels learnt layer by layer are those of every whole network.
    """
    prepare_tvm()
    import tvm
    from tvm.relax import transform

    passes = [
        transform.LegalizeOps(),
        transform.AnnotateTIROpPattern(),
        transform.FoldConstant(),
        transform.FuseOps(),
        transform.FuseTIR(),
        transform.DeadCodeElimination(),
    ]
    with target_of("x86-64"):  # only how operators become loops hangs on it, not for which ISA
        module = tvm.transform.Sequential(passes)(emit_layers(layers))
    names = {g: kernel_key(f) for g, f in module.functions.items() if isinstance(f, tvm.tirx.PrimFunc)}
    plan = {layer: _steps(module[f"layer_{i}"], names) for i, layer in enumerate(layers)}
    return SpaceKernels({key: module[g] for g, key in names.items()}, plan)


def kernel_key(function: Any) -> str:
    """Returns the name of what a kernel computes: `k` and 16 hexadecimal digits of its structural hash."""
    from tvm_ffi import structural_hash

    return f"k{structural_hash(function) & (2**64 - 1):016x}"


def kernel_module(function: Any) -> Any:
    """Returns a kernel as the IRModule under which tuning databases know it."""
    import tvm

    return tvm.IRModule({"main": function.with_attr("global_symbol", "main")})


def applied(module: Any, schedule: Schedule, key: str) -> Any:
    """Returns TVM's schedule object with a known schedule applied to a kernel's module.

    Raises:
        InputError: the schedule is not one of this kernel.
    """
    import tvm
    from tvm.s_tir.schedule import Trace

    sketch = tvm.s_tir.Schedule(module)
    try:
        Trace.apply_json_to_schedule(schedule.trace, sketch)
    except Exception as error:  # TVM raises many kinds for a trace that does not fit
        raise InputError(
            f"the schedule pack holds a schedule that does not fit kernel {key} ({type(error).__name__}); "
            "make the pack again"
        ) from error
    return sketch


def expected_uses(
    space: Space, plan: Plan, rng: np.random.Generator, samples: int = 2000
) -> dict[str, float]:
    """Returns how often a random architecture calls each kernel, on average."""
    ids = space.layer_ids(space.sample_genomes(samples, rng))
    uses: dict[str, float] = {}
    for slot in range(ids.shape[1]):
        values, counts = np.unique(ids[:, slot], return_counts=True)
        for value, count in zip(values.tolist(), counts.tolist(), strict=True):
            if value >= 0:
                for step in plan[space.vocabulary[value], slot == 0]:
                    uses[step.kernel] = uses.get(step.kernel, 0.0) + count / samples
    return uses


def _steps(function: Any, names: Mapping[Any, str]) -> tuple[Step, ...]:
    from tvm import relax

    where = {p: "x" if i == 0 else f"w{i - 1}" for i, p in enumerate(function.params)}
    steps: list[Step] = []
    for binding in (b for block in function.body.blocks for b in block.bindings):
        value = binding.value
        if isinstance(value, relax.Var):
            where[binding.var] = where[value]
            continue
        assert value.op.name == "relax.call_tir", value
        where[binding.var] = f"t{len(steps)}"
        shape = tuple(int(n) for n in binding.var.ty.shape)
        arguments = tuple(where[argument] for argument in value.args[1])
        steps.append(Step(names[value.args[0]], arguments, shape))
    return tuple(steps)
