"""Torch modules of the ONNX files that hwnas writes, so that torch runs the very file that is exported."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import numpy_helper
from torch import fx
from torch.nn import functional

from hwnas.errors import InputError

Attributes = dict[str, Any]


def torch_module(path: Path) -> fx.GraphModule:
    """Returns the network of an ONNX file as a module for inference, from `input` to `logits`.

    It may overwrite what its own operations made, never its input. The key `onnx` in a node's
    `meta` is the name of the ONNX node that it runs.

    Raises:
        InputError: an operation that no floating-point network of hwnas has.
    """
    graph = onnx.load(path, load_external_data=False).graph
    return _Reader(graph).module()


class _Reader:
    """Walks the nodes of an ONNX graph in order, which is the order they run in."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._onnx = graph
        self._graph = fx.Graph()
        self._root = torch.nn.Module()
        self._constants = {one.name: one for one in graph.initializer}
        self._made: dict[str, fx.Node] = {}
        self._readers = Counter(name for node in graph.node for name in node.input)

    def module(self) -> fx.GraphModule:
        """Returns the module."""
        (entry,), (exit_,) = self._onnx.input, self._onnx.output
        self._made[entry.name] = self._graph.placeholder("x")
        for node in self._onnx.node:
            convert = _CONVERTERS.get(node.op_type)
            if convert is None:
                raise InputError(
                    f"operation {node.name} must be of a floating-point network, but is {node.op_type}; "
                    "torch runs networks of 32 bits"
                )
            made = convert(
                self, node, {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
            )
            made.meta["onnx"] = node.name
            self._made[node.output[0]] = made
        self._graph.output(self._made[exit_.name])
        return fx.GraphModule(self._root, self._graph)

    def call(self, function: Callable[..., Any], *values: Any, **options: Any) -> fx.Node:
        """Adds a call; returns its node."""
        return self._graph.call_function(function, values, options)

    def read(self, name: str) -> fx.Node:
        """Returns the node of a tensor: one that was made, or a constant."""
        if name not in self._made:
            # A copy: torch would warn of arrays that it must not write to.
            value = torch.from_numpy(numpy_helper.to_array(self._constants[name]).copy())
            buffer = f"constant_{len(self._made)}"
            if value.dim() == 4:
                value = value.contiguous(memory_format=torch.channels_last)
            self._root.register_buffer(buffer, value)
            self._made[name] = self._graph.get_attr(buffer)
        return self._made[name]

    def constant(self, name: str) -> float:
        """Returns a constant number."""
        return float(numpy_helper.to_array(self._constants[name]))

    def alone(self, name: str) -> bool:
        """Whether a tensor was made by an operation and is read once, so that it may be overwritten."""
        return self._readers[name] == 1 and name != self._onnx.input[0].name


def _conv(reader: _Reader, node: onnx.NodeProto, options: Attributes) -> fx.Node:
    weight = [reader.read(name) for name in node.input]
    bias = weight[2] if len(weight) > 2 else None
    window = (options["strides"], options["pads"][:2], [1, 1])
    return reader.call(torch.conv2d, *weight[:2], bias, *window, options["group"])


def _relu(reader: _Reader, node: onnx.NodeProto, options: Attributes) -> fx.Node:
    return reader.call(functional.relu, reader.read(node.input[0]), inplace=reader.alone(node.input[0]))


def _clip(reader: _Reader, node: onnx.NodeProto, options: Attributes) -> fx.Node:
    x, low, high = node.input
    limits = reader.constant(low), reader.constant(high)
    return reader.call(functional.hardtanh, reader.read(x), *limits, inplace=reader.alone(x))


def _hard_swish(reader: _Reader, node: onnx.NodeProto, options: Attributes) -> fx.Node:
    return reader.call(functional.hardswish, reader.read(node.input[0]), inplace=reader.alone(node.input[0]))


def _hard_sigmoid(reader: _Reader, node: onnx.NodeProto, options: Attributes) -> fx.Node:
    return reader.call(functional.hardsigmoid, reader.read(node.input[0]))


def _multiply(reader: _Reader, node: onnx.NodeProto, options: Attributes) -> fx.Node:
    return reader.call(torch.mul, *map(reader.read, node.input))


def _add(reader: _Reader, node: onnx.NodeProto, options: Attributes) -> fx.Node:
    return reader.call(torch.add, *map(reader.read, node.input))


def _pool(reader: _Reader, node: onnx.NodeProto, options: Attributes) -> fx.Node:
    return reader.call(torch.mean, reader.read(node.input[0]), (2, 3), keepdim=True)


def _max_pool(reader: _Reader, node: onnx.NodeProto, options: Attributes) -> fx.Node:
    window = options["kernel_shape"], options["strides"], options["pads"][:2]
    return reader.call(torch.max_pool2d, reader.read(node.input[0]), *window)


def _average_pool(reader: _Reader, node: onnx.NodeProto, options: Attributes) -> fx.Node:
    window = options["kernel_shape"], options["strides"], options["pads"][:2]
    # No padding is counted: windows that are cut short average what they hold.
    return reader.call(functional.avg_pool2d, reader.read(node.input[0]), *window, True, False)


def _flatten(reader: _Reader, node: onnx.NodeProto, options: Attributes) -> fx.Node:
    return reader.call(torch.flatten, reader.read(node.input[0]), 1)


def _gemm(reader: _Reader, node: onnx.NodeProto, options: Attributes) -> fx.Node:
    x, weight, bias = map(reader.read, node.input)
    return reader.call(torch.addmm, bias, x, weight)


_CONVERTERS: dict[str, Callable[[_Reader, onnx.NodeProto, Attributes], fx.Node]] = {
    "Add": _add,
    "AveragePool": _average_pool,
    "Clip": _clip,
    "Conv": _conv,
    "Flatten": _flatten,
    "Gemm": _gemm,
    "GlobalAveragePool": _pool,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "MaxPool": _max_pool,
    "Mul": _multiply,
    "Relu": _relu,
}
