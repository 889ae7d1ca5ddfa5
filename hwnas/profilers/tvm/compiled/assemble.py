"""Subnets from compiled kernels: a byte code that calls them by name, linked with its weights.

The program is written by hand for TVM's virtual machine and not lowered from Relax: a chain needs
no more than a few buffers, and a network that runs in a tenth of a millisecond feels every extra call.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import InputError
from hwnas.profilers.onnx.quantizer import quantizers_of
from hwnas.profilers.tvm.breakdown import step_ops
from hwnas.profilers.tvm.compiled.cross import LibraryMaker
from hwnas.profilers.tvm.compiled.library import Library
from hwnas.profilers.tvm.intrinsics import prepare_tvm
from hwnas.profilers.tvm.kernels.crossing import BYTE_BITS, Link, converts, links_of, runs_in_bytes
from hwnas.profilers.tvm.kernels.emit import input_shape, layer_weights
from hwnas.profilers.tvm.kernels.int8.numbers import dequantize_numbers, layer_numbers, quantize_numbers
from hwnas.profilers.tvm.kernels.int8.pieces import pieces_of
from hwnas.profilers.tvm.kernels.plan import Plan, Step
from hwnas.spaces import Layer, Network
from hwnas.spaces.layer import describe

_INPUT = 0


@dataclass(frozen=True)
class Call:
    """One kernel call of a whole network.

    Attributes:
        inputs: `("value", 0)` is the image, `("value", i + 1)` what call i makes, `("weight", i)`
            the network's weight number i.
    """

    kernel: str
    inputs: tuple[tuple[Literal["value", "weight"], int], ...]
    out_shape: tuple[int, ...]
    dtype: str = "float32"


@dataclass(frozen=True)
class Buffer:
    """A tensor that values of one form take turns in; buffers share storage, kernels want offset 0."""

    shape: tuple[int, ...]
    dtype: str
    storage: int


def calls_of(layers: Sequence[Layer], plan: Plan) -> list[Call]:
    """Returns the kernel calls of a chain of layers.

    Raises:
        InputError: a layer the plan does not know.
    """
    calls: list[Call] = []
    value, weight = _INPUT, 0
    for link in _links(layers, plan):
        steps = plan[link.key]
        first = len(calls) + 1
        for step in steps:
            inputs = tuple(_operand(name, value, weight, first) for name in step.arguments)
            calls.append(Call(step.kernel, inputs, step.out_shape, step.dtype))
        value, weight = len(calls), weight + _count_weights(steps)
    return calls


def call_names(layers: Sequence[Layer], plan: Plan) -> list[str]:
    """Returns the `LAYER.OP` that each kernel call computes, in the order of `calls_of`."""
    names: list[str] = []
    for link in _links(layers, plan):
        if converts(link.layer):
            names.append(f"{link.reads}.{'q' if link.layer.activation_bits == BYTE_BITS else 'dq'}")
        else:
            names += [f"{link.layer.name}.{op}" for op in _step_ops(link, plan)]
    return names


def place_values(calls: Sequence[Call]) -> tuple[list[Buffer], list[int], list[int]]:
    """Returns buffers, the buffer of each call's value but the last, and the bytes of each storage.

    A value takes a free storage: one with a buffer of its form if there is one, else the largest.
    The last value is the network's output and lives outside.
    """
    last_use = {number: i for i, call in enumerate(calls) for kind, number in call.inputs if kind == "value"}
    buffers: list[Buffer] = []
    taken: list[int] = []
    sizes: list[int] = []
    for index, call in enumerate(calls[:-1]):
        busy = {
            buffers[taken[value - 1]].storage for value in range(1, index + 1) if last_use[value] >= index
        }
        free = [storage for storage in range(len(sizes)) if storage not in busy]
        form = (call.out_shape, call.dtype)
        buffer = next((b for b in buffers if (b.shape, b.dtype) == form and b.storage in free), None)
        if buffer is None:
            if not free:
                sizes.append(0)
                free = [len(sizes) - 1]
            buffer = Buffer(*form, max(free, key=lambda storage: sizes[storage]))
            sizes[buffer.storage] = max(sizes[buffer.storage], _bytes(*form))
            buffers.append(buffer)
        taken.append(buffers.index(buffer))
    return buffers, taken, sizes


def export(network: Network, library: Library, path: Path, maker: LibraryMaker | None = None) -> None:
    """Writes a network as a shared library that holds its kernels and its weights.

    Its function `main` maps a float32 image [1, channels, size, size] to logits [1, classes], as
    the ONNX file does; a chain that is a part of a network reads and makes maps, NHWC, with channels
    filled up to the target's multiple. `describe` returns JSON with the input's shape and what each
    kernel call computes. It needs TVM's runtime to load and nothing else. `path` must be one that this
    process has not loaded before, since loaders keep libraries by path.

    Args:
        network: what to write.
        library: its kernels.
        path: where to; a `.tar` holds the object files, for a machine that links them itself.
        maker: makes the file where the library is for another machine; None takes the C compiler.

    Raises:
        InputError: a layer the library has no kernels for.
    """
    prepare_tvm()
    import tvm
    from tvm import relax

    builder, used = program(network, library)
    kernels = tvm.runtime.load_static_library(str(library.object_file(used[0])), [used[0]])
    link = tvm.get_global_func("relax.VMLink")
    executable = relax.vm_build.VMExecutable(link(builder, library.target.to_tvm(), kernels, [], {}))
    objects = [str(library.object_file(key)) for key in used[1:]]
    executable.export_library(str(path), fcompile=maker, addons=objects)


def program(network: Network, library: Library) -> tuple[Any, list[str]]:
    """Returns TVM's builder with the byte code of `main` and `describe`, and the kernels they call.

    Raises:
        InputError: a layer the library has no kernels for.
    """
    import tvm
    from tvm import relax

    calls = calls_of(network.layers, library.plan)
    weights = [tvm.runtime.tensor(array) for array in network_weights(network, library)]
    builder = relax.ExecBuilder()
    _write_main(builder, calls, weights, _out_shape(network.layers[-1], calls))
    _write_description(builder, network, library)
    return builder, sorted({call.kernel for call in calls})


def network_weights(network: Network, library: Library) -> list[NDArray[Any]]:
    """Returns the numbers of a network, as its kernel calls count them."""
    quantizers = quantizers_of(network)
    arrays: list[NDArray[Any]] = []
    for link in _links(network.layers, library.plan):
        layer = link.layer
        if converts(layer):
            made = quantize_numbers if layer.activation_bits == BYTE_BITS else dequantize_numbers
            arrays.append(made(quantizers[link.reads]))
        elif runs_in_bytes(layer):
            arrays += layer_numbers(network, layer, link.reads, link.image, quantizers)
        else:
            arrays += layer_weights(network, layer, library.target.channel_multiple)
    return arrays


def _links(layers: Sequence[Layer], plan: Plan) -> list[Link]:
    """What runs, all of it in the plan. A layer that begins a part of a network reads a map, as inside."""
    links = links_of(layers, (layers[0], True) in plan)
    for link in links:
        if link.key not in plan:
            layer = link.layer
            raise InputError(
                f"layer {layer.name} ({describe(layer)}) has no compiled kernels: "
                "it is not of the space this device was opened for"
            )
    return links


def _step_ops(link: Link, plan: Plan) -> list[str]:
    """The operation that each step of a layer computes."""
    if runs_in_bytes(link.layer):
        return [piece.op.name for piece in pieces_of(link.layer, link.image)]
    return step_ops(link.layer, plan[link.key])


def _count_weights(steps: Sequence[Step]) -> int:
    return len({name for step in steps for name in step.arguments if name[0] == "w"})


def _out_shape(last: Layer, calls: Sequence[Call]) -> tuple[int, ...]:
    """The shape of what a chain makes: classes, without the padding, or the map of its last call."""
    return (1, last.out_channels) if last.kind == "linear" else calls[-1].out_shape


def _operand(name: str, value: int, weight: int, first: int) -> tuple[Literal["value", "weight"], int]:
    if name == "x":
        return "value", value
    number = int(name[1:])
    return ("weight", weight + number) if name[0] == "w" else ("value", first + number)


def _bytes(shape: Sequence[int], dtype: str) -> int:
    return np.dtype(dtype).itemsize * math.prod(shape)


def _write_main(
    builder: Any, calls: Sequence[Call], weights: Sequence[Any], out_shape: tuple[int, ...]
) -> None:
    """The byte code of `main`: register 0 is the image, then the output, its storage, storages, buffers.

    The logits are the beginning of what the classifier's kernel writes, see `padded_classes`.
    """
    import tvm

    raw, scope = tvm.DataType("uint8"), builder.convert_constant("global")
    buffers, taken, sizes = place_values(calls)
    logits, out, out_storage, storages = 1, 2, 3, 4
    tensors = storages + len(sizes)

    def storage(register: int, size_bytes: int) -> None:
        args = [builder.vm_state(), (size_bytes,), builder.imm(0), raw, scope]
        builder.emit_call("vm.builtin.alloc_storage", args, dst=builder.r(register))

    def tensor(register: int, source: int, shape: tuple[int, ...], dtype: str) -> None:
        args = [builder.r(source), builder.imm(0), shape, tvm.DataType(dtype)]
        builder.emit_call("vm.builtin.alloc_tensor", args, dst=builder.r(register))

    with builder.function("main", num_inputs=1, param_names=["input"]):
        storage(out_storage, _bytes(calls[-1].out_shape, calls[-1].dtype))
        tensor(out, out_storage, calls[-1].out_shape, calls[-1].dtype)
        tensor(logits, out_storage, out_shape, calls[-1].dtype)
        for index, size_bytes in enumerate(sizes):
            storage(storages + index, size_bytes)
        for index, buffer in enumerate(buffers):
            tensor(tensors + index, storages + buffer.storage, buffer.shape, buffer.dtype)
        registers = [_INPUT, *(tensors + index for index in taken), out]
        for index, call in enumerate(calls):
            inputs = [weights[i] if kind == "weight" else builder.r(registers[i]) for kind, i in call.inputs]
            builder.emit_call(call.kernel, [*inputs, builder.r(registers[index + 1])])
        builder.emit_ret(builder.r(logits))


def _write_description(builder: Any, network: Network, library: Library) -> None:
    first = network.layers[0]
    image = (first, True) in library.plan
    description = {
        "input": f"float32 {'NCHW' if image else 'NHWC'}",
        "input_shape": input_shape(first, image, library.target.channel_multiple),
        "calls": call_names(network.layers, library.plan),
        "pack": library.pack,
        "target": library.target.name,
    }
    with builder.function("describe", num_inputs=0):
        text = builder.convert_constant(json.dumps(description))
        builder.emit_call("vm.builtin.copy", [text], dst=builder.r(0))
        builder.emit_ret(builder.r(0))
