"""The kernels of a space: every layer as calls of a few fused kernels that all subnets share."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hwnas.errors import InputError
from hwnas.profilers.tvm.intrinsics import prepare_tvm
from hwnas.profilers.tvm.kernels.crossing import BYTE_BITS, LayerKey, conversion, converts, runs_in_bytes
from hwnas.profilers.tvm.kernels.emit import emit_layers, input_shape
from hwnas.profilers.tvm.kernels.int8.emit import emit_dequantize, emit_piece, emit_quantize, pieces_of
from hwnas.profilers.tvm.kernels.int8.schedule import schedule_by_rule
from hwnas.profilers.tvm.kernels.int8.vnni import form_of
from hwnas.profilers.tvm.kernels.packs import Schedule
from hwnas.profilers.tvm.kernels.schedule_float import default_schedule
from hwnas.profilers.tvm.target import Target
from hwnas.spaces import FLOAT_BITS, Layer, Space

__all__ = [
    "LayerKey",
    "Plan",
    "SpaceKernels",
    "Step",
    "applied",
    "expected_uses",
    "kernel_key",
    "kernel_module",
    "kernels_of",
    "scheduled_kernel",
    "space_layers",
]


@dataclass(frozen=True)
class Step:
    """One call of a kernel inside a layer.

    Attributes:
        kernel: the kernel's key.
        arguments: `x` the layer's input, `wI` its weight number I, `tI` the result of step I.
        out_shape: of the map it makes.
        dtype: of that map, float32 or uint8.
    """

    kernel: str
    arguments: tuple[str, ...]
    out_shape: tuple[int, ...]
    dtype: str = "float32"


_VARIABLE = re.compile(r"\b(?:lv|x)\d*(?=_red)")
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


def space_layers(space: Space, bits: Sequence[int] = (FLOAT_BITS,)) -> list[LayerKey]:
    """Returns every layer of a space, with whether it comes first, in a fixed order.

    Args:
        space: whose layers.
        bits: that layers may have; with 8, conversions between maps of both kinds are among them.
    """
    ids = space.layer_ids(space.genomes(space.covering()))
    first = set(ids[:, 0].tolist())
    later = set(ids[:, 1:].ravel().tolist()) - {-1}
    keys = [(space.vocabulary[i], True) for i in sorted(first)]
    keys += [(space.vocabulary[i], False) for i in sorted(later)]
    if BYTE_BITS not in bits:
        return keys
    in_bytes = [(replace(one, weight_bits=BYTE_BITS, activation_bits=BYTE_BITS), f) for one, f in keys]
    shapes = {(layer.in_channels, layer.in_size_px) for layer, begins in keys if not begins}
    shapes |= {(layer.out_channels, layer.out_size_px) for layer, _ in keys if layer.kind != "linear"}
    ways = [(FLOAT_BITS, BYTE_BITS), (BYTE_BITS, FLOAT_BITS)]
    return [
        *keys,
        *in_bytes,
        *((conversion(*shape, *way), False) for shape in sorted(shapes) for way in ways),
    ]


def kernels_of(layers: Sequence[LayerKey]) -> SpaceKernels:
    """Returns the unique kernels of layers and how each layer calls them.

    Fusing never crosses a layer's end, since the next one begins with a convolution, a pool or a
    matrix product; so kernels learnt layer by layer are those of every whole network.

    Raises:
        InputError: bits other than 32 and 8, or a first layer of 8 bits that is no convolution.
    """
    prepare_tvm()
    floats = [key for key in layers if not key[0].quantized]
    functions, plan = _float_kernels(floats) if floats else ({}, {})
    for key in layers:
        if key[0].quantized:
            made, steps = _byte_kernels(*key)
            functions.update(made)
            plan[key] = steps
    return SpaceKernels(functions, {key: plan[key] for key in layers})


def _float_kernels(layers: Sequence[LayerKey]) -> tuple[dict[str, Any], dict[LayerKey, tuple[Step, ...]]]:
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
    with Target().to_tvm():  # only how operators become loops hangs on it, not for which ISA
        module = tvm.transform.Sequential(passes)(emit_layers(layers))
    names = {g: kernel_key(f) for g, f in module.functions.items() if isinstance(f, tvm.tirx.PrimFunc)}
    plan = {layer: _steps(module[f"layer_{i}"], names) for i, layer in enumerate(layers)}
    return {key: module[g] for g, key in names.items()}, plan


def _byte_kernels(layer: Layer, image: bool) -> tuple[dict[str, Any], tuple[Step, ...]]:
    """The kernels of a layer of 8 bits, or of a conversion, and its steps."""
    if converts(layer):
        shape = input_shape(layer, first=False)
        quantizes = layer.activation_bits == BYTE_BITS
        function = emit_quantize(shape) if quantizes else emit_dequantize(shape)
        step = Step(kernel_key(function), ("x", "w0"), shape, "uint8" if quantizes else "float32")
        return {step.kernel: function}, (step,)
    if not runs_in_bytes(layer) or (image and layer.kind != "conv"):
        raise InputError(
            f"compiled layers must have 32 bits or 8 for both weights and activations, and be a conv to read "
            f"the image in 8, but got a {layer.kind} with {layer.weight_bits} and {layer.activation_bits}"
        )
    functions: dict[str, Any] = {}
    steps: list[Step] = []
    held, weights = {"": "x"}, 0
    for piece in pieces_of(layer, image):
        function = emit_piece(piece)
        key = kernel_key(function)
        used = len(function.params) - len(piece.maps) - 1
        arguments = (*(held[name] for name in piece.maps), *(f"w{weights + i}" for i in range(used)))
        held[piece.made] = f"t{len(steps)}"
        functions[key], weights = function, weights + used
        steps.append(Step(key, arguments, piece.out_shape, "float32" if piece.form == "logits" else "uint8"))
    return functions, tuple(steps)


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
        Trace.apply_json_to_schedule(_with_names_of(sketch, schedule.trace), sketch)
    except Exception as error:  # TVM raises many kinds for a trace that does not fit
        raise InputError(
            f"the schedule pack holds a schedule that does not fit kernel {key} ({type(error).__name__}); "
            "make the pack again"
        ) from error
    return sketch


def _with_names_of(sketch: Any, trace: Any) -> Any:
    """A trace as it is for a kernel that was emitted with other layers.

    TVM names a pool's sums after what it reads, a variable whose number depends on what else was
    emitted.
    """
    blocks = sketch.get_child_blocks(sketch.get_sblock("root"))
    for name in (str(sketch.get(block).name_hint) for block in blocks):
        if _VARIABLE.match(name):
            return json.loads(_VARIABLE.sub(name.split("_")[0], json.dumps(trace)))
    return trace


def scheduled_kernel(function: Any, schedule: Schedule | None, key: str, target: Target) -> Any:
    """Returns the IRModule of a kernel with its schedule applied.

    Args:
        function: unscheduled.
        schedule: None takes the one by rule.
        key: of the kernel.
        target: what it will be compiled for.

    Raises:
        InputError: the schedule is not one of this kernel.
    """
    module = kernel_module(function)
    if schedule is not None:
        return applied(module, schedule, key).mod
    return schedule_by_rule(module).mod if form_of(function) else default_schedule(module, target).mod


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
