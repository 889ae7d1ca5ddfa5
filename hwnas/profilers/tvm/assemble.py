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

from hwnas.errors import InputError
from hwnas.profilers.tvm.emit import layer_weights, weight_shapes
from hwnas.profilers.tvm.intrinsics import prepare_tvm
from hwnas.profilers.tvm.kernels import Plan, target_of
from hwnas.profilers.tvm.library import Library, describe
from hwnas.spaces import Layer, Network

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


@dataclass(frozen=True)
class Buffer:
    """A tensor that values of one shape take turns in; buffers share storage, kernels want offset 0."""

    shape: tuple[int, ...]
    storage: int


def calls_of(layers: Sequence[Layer], plan: Plan) -> list[Call]:
    """Returns the kernel calls of a chain of layers.

    Raises:
        InputError: a layer the plan does not know.
    """
    calls: list[Call] = []
    value, weight = _INPUT, 0
    for index, layer in enumerate(layers):
        steps = plan.get((layer, index == 0))
        if steps is None:
            raise InputError(
                f"layer {layer.name} ({describe(layer)}, {layer.weight_bits} bits) has no compiled kernels: "
                "it is not of the space this device was opened for"
            )
        first = len(calls) + 1
        for step in steps:
            inputs = tuple(_operand(name, value, weight, first) for name in step.arguments)
            calls.append(Call(step.kernel, inputs, step.out_shape))
        value, weight = len(calls), weight + len(weight_shapes(layer))
    return calls


def place_values(calls: Sequence[Call]) -> tuple[list[Buffer], list[int], list[int]]:
    """Returns buffers, the buffer of each call's value but the last, and the bytes of each storage.

    A value takes a free storage: one with a buffer of its shape if there is one, else the largest.
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
        buffer = next((b for b in buffers if b.shape == call.out_shape and b.storage in free), None)
        if buffer is None:
            if not free:
                sizes.append(0)
                free = [len(sizes) - 1]
            buffer = Buffer(call.out_shape, max(free, key=lambda storage: sizes[storage]))
            sizes[buffer.storage] = max(sizes[buffer.storage], _bytes(call.out_shape))
            buffers.append(buffer)
        taken.append(buffers.index(buffer))
    return buffers, taken, sizes


def export(network: Network, library: Library, path: Path) -> None:
    """Writes a network as a shared library that holds its kernels and its weights.

    Its function `main` maps a float32 image [1, channels, size, size] to logits [1, classes], as
    the ONNX file does; `describe` returns JSON with that shape. It needs TVM's runtime to load and
    nothing else. `path` must be one that this process has not loaded before,
    since loaders keep libraries by path.

    Raises:
        InputError: a layer the library has no kernels for.
    """
    prepare_tvm()
    import tvm
    from tvm import relax

    calls = calls_of(network.layers, library.plan)
    used = sorted({call.kernel for call in calls})
    weights = [array for layer in network.layers for array in layer_weights(network, layer)]
    builder = relax.ExecBuilder()
    _write_main(
        builder, calls, [tvm.runtime.tensor(array) for array in weights], (1, network.layers[-1].out_channels)
    )
    _write_description(builder, network, library)
    kernels = tvm.runtime.load_static_library(str(library.object_file(used[0])), [used[0]])
    link = tvm.get_global_func("relax.VMLink")
    executable = relax.vm_build.VMExecutable(link(builder, target_of(library.mcpu), kernels, [], {}))
    executable.export_library(str(path), addons=[str(library.object_file(key)) for key in used[1:]])


def _operand(name: str, value: int, weight: int, first: int) -> tuple[Literal["value", "weight"], int]:
    if name == "x":
        return "value", value
    number = int(name[1:])
    return ("weight", weight + number) if name[0] == "w" else ("value", first + number)


def _bytes(shape: Sequence[int]) -> int:
    return 4 * math.prod(shape)


def _write_main(
    builder: Any, calls: Sequence[Call], weights: Sequence[Any], logits_shape: tuple[int, int]
) -> None:
    """The byte code of `main`: register 0 is the image, then the output, its storage, storages, buffers.

    The logits are the beginning of what the classifier's kernel writes, see `padded_classes`.
    """
    import tvm

    float32, raw, scope = tvm.DataType("float32"), tvm.DataType("uint8"), builder.convert_constant("global")
    buffers, taken, sizes = place_values(calls)
    logits, out, out_storage, storages = 1, 2, 3, 4
    tensors = storages + len(sizes)

    def storage(register: int, size_bytes: int) -> None:
        args = [builder.vm_state(), (size_bytes,), builder.imm(0), raw, scope]
        builder.emit_call("vm.builtin.alloc_storage", args, dst=builder.r(register))

    def tensor(register: int, source: int, shape: tuple[int, ...]) -> None:
        args = [builder.r(source), builder.imm(0), shape, float32]
        builder.emit_call("vm.builtin.alloc_tensor", args, dst=builder.r(register))

    with builder.function("main", num_inputs=1, param_names=["input"]):
        storage(out_storage, _bytes(calls[-1].out_shape))
        tensor(out, out_storage, calls[-1].out_shape)
        tensor(logits, out_storage, logits_shape)
        for index, size_bytes in enumerate(sizes):
            storage(storages + index, size_bytes)
        for index, buffer in enumerate(buffers):
            tensor(tensors + index, storages + buffer.storage, buffer.shape)
        registers = [_INPUT, *(tensors + index for index in taken), out]
        for index, call in enumerate(calls):
            inputs = [weights[i] if kind == "weight" else builder.r(registers[i]) for kind, i in call.inputs]
            builder.emit_call(call.kernel, [*inputs, builder.r(registers[index + 1])])
        builder.emit_ret(builder.r(logits))


def _write_description(builder: Any, network: Network, library: Library) -> None:
    description = {
        "input": "float32 NCHW",
        "input_shape": network.input_shape,
        "pack": library.pack,
        "target": library.mcpu,
    }
    with builder.function("describe", num_inputs=0):
        text = builder.convert_constant(json.dumps(description))
        builder.emit_call("vm.builtin.copy", [text], dst=builder.r(0))
        builder.emit_ret(builder.r(0))
