"""How the operations of a layer run in torch: one definition for elastic, static and folded networks.

The three differ in where weights come from and in what follows a convolution; the order of the
operations, squeeze-and-excitation and the residual sum are the same and stand here alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwnas.errors import InputError
from hwnas.spaces import Architecture, BitwidthPolicy, Layer, Op, Space
from hwnas.spaces.layer import Activation

AnyModule = TypeVar("AnyModule", bound=nn.Module)
OnTensor = Callable[[Op, Tensor], Tensor]


def finish(op: Op, x: Tensor) -> Tensor:
    """Returns the activation of an operation's fresh output, which may be overwritten."""
    return activate(x, op.activation)


def run_ops(ops: Sequence[Op], x: Tensor, weighted: OnTensor, finish: OnTensor = finish) -> Tensor:
    """Returns the output of a layer.

    Args:
        ops: `Layer.ops`.
        x: [N, C, H, W].
        weighted: applies an operation that has weights (`conv`, `depthwise`, `linear`) together
            with its normalisation, without its activation.
        finish: makes of each operation's output, which no one else holds, what the next one reads.
    """
    held = {"": x}
    for place, op in enumerate(ops):
        read = [held[name] for name in op.inputs]
        made = finish(op, weighted(op, read[0]) if op.weights else _weightless(op, read))
        # Tensors nobody reads any more are let go: their memory is still in the cache.
        for name in op.inputs:
            if not any(name in later.inputs for later in ops[place + 1 :]):
                del held[name]
        held[op.name] = made
    return made


def _weightless(op: Op, read: Sequence[Tensor]) -> Tensor:
    if op.kind == "scale":
        return read[0] * read[1]
    if op.kind == "add":
        return read[0] + read[1]
    if op.kind == "pool":
        return read[0].mean((2, 3), keepdim=True)
    if op.kind == "max_pool":
        return functional.max_pool2d(read[0], op.kernel, op.stride, op.kernel // 2)
    assert op.kind == "average_pool"
    return functional.avg_pool2d(read[0], op.kernel, op.stride, ceil_mode=True)


def activate(x: Tensor, activation: Activation) -> Tensor:
    """Returns the activation of x, which may be overwritten."""
    if activation == "relu":
        return functional.relu_(x)
    if activation == "relu6":
        return functional.relu6(x, inplace=True)
    if activation == "h_swish":
        return functional.hardswish(x)  # not in place: its gradient needs x
    if activation == "h_sigmoid":
        return functional.hardsigmoid(x)
    return x


def nest(root: nn.Module, path: str, module: nn.Module) -> None:
    """Adds a module under a dotted name such as `stages.0.1`, making the containers on the way."""
    *folders, last = path.split(".")
    for folder in folders:
        if folder not in root._modules:
            root.add_module(folder, nn.Module())
        root = root.get_submodule(folder)
    root.add_module(last, module)


def channels_last(module: AnyModule) -> AnyModule:
    """Returns the module itself, its weights in the memory order that is fastest: channels last."""
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def torch_name(tensor: str) -> str:
    """Returns a tensor's name as torch takes it: no dots."""
    return tensor.replace(".", "__")


def norm_name(op: Op) -> str:
    """Returns the name, within its layer, of the normalisation after an operation."""
    return f"{op.name}_norm"


def own_layers(
    space: Space, architecture: Architecture, bits: BitwidthPolicy | None = None
) -> tuple[Layer, ...]:
    """Returns `space.layers(architecture)`, with the bits of a policy where there is one.

    Raises:
        InputError: an architecture of another space, or a policy for another number of layers.
    """
    if architecture.space != space.name:
        raise InputError(
            f"architecture is of space '{architecture.space}', but the supernet's is '{space.name}'"
        )
    layers = space.layers(architecture)
    if bits is None:
        return layers
    own = sum(layer.quantizable for layer in layers)
    if not len(bits.weights) == len(bits.activations) == own:
        raise InputError(
            f"a bitwidth policy must have bits for each of the {own} layers with weights, but got "
            f"{len(bits.weights)} for weights and {len(bits.activations)} for activations"
        )
    pairs = iter(zip(bits.weights, bits.activations, strict=True))
    return tuple(_at_bits(layer, *next(pairs)) if layer.quantizable else layer for layer in layers)


def _at_bits(layer: Layer, weight_bits: int, activation_bits: int) -> Layer:
    return replace(layer, weight_bits=weight_bits, activation_bits=activation_bits)
