"""Layers as Relax functions: what TVM compiles.

Maps are NHWC and weights HWIO inside; the image that enters the first layer is NCHW, as in the
ONNX file, and the first convolution reads it so. Batch is 1, everything is float32. Shape letters:
N batch, H W map, C channels in, O channels out.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hwnas.spaces import Layer, Network, Op
from hwnas.spaces.network import Floats, weight_shape


def layer_weights(network: Network, layer: Layer) -> list[Floats]:
    """Returns the numbers of a layer in the order and shape its kernels take them."""
    arrays: list[Floats] = []
    for op in layer.ops:
        if not weight_shape(op):
            continue
        weight = network.weights[f"{layer.name}.{op.name}.weight"]
        unused = padded_classes(op.out_channels) - op.out_channels if op.kind == "linear" else 0
        arrays.append(np.pad(weight.T, ((0, 0), (0, unused))) if op.kind == "linear" else _hwio(weight))
        if op.bias:
            bias = np.pad(network.weights[f"{layer.name}.{op.name}.bias"], (0, unused))
            arrays.append(bias.reshape(_bias_shape(op)))
    return [np.ascontiguousarray(array, dtype=np.float32) for array in arrays]


def weight_shapes(layer: Layer) -> list[tuple[int, ...]]:
    """Returns the shapes of a layer's weights as its kernels take them, in their order."""
    shapes: list[tuple[int, ...]] = []
    for op in layer.ops:
        shape = weight_shape(op)
        if shape:
            padded = (op.in_channels, padded_classes(op.out_channels))
            shapes.append(padded if op.kind == "linear" else tuple(shape[i] for i in (2, 3, 1, 0)))
            if op.bias:
                shapes.append(_bias_shape(op))
    return shapes


def padded_classes(classes: int) -> int:
    """Returns how many outputs a classifier's kernel computes: the next power of two, at least 16.

    So a few kernels serve every data set; the outputs beyond the classes are left unread.
    """
    return max(16, 1 << (classes - 1).bit_length())


def input_shape(layer: Layer, first: bool) -> tuple[int, ...]:
    """Returns the shape of the map a layer reads: NCHW for the first of a chain, else NHWC."""
    size, channels = layer.in_size_px, layer.in_channels
    return (1, channels, size, size) if first else (1, size, size, channels)


def emit_layers(layers: Sequence[tuple[Layer, bool]]) -> Any:
    """Returns an IRModule with a Relax function `layer_I` for each (layer, whether it comes first).

    A function takes the input map and then the layer's weights, as `layer_weights` orders them.
    """
    from tvm import relax

    builder = relax.BlockBuilder()
    for index, (layer, first) in enumerate(layers):
        x = _variable("x", input_shape(layer, first))
        weights = [_variable(f"w{i}", shape) for i, shape in enumerate(weight_shapes(layer))]
        with builder.function(f"layer_{index}", [x, *weights]):
            with builder.dataflow():
                out = builder.emit_output(_emit_ops(builder, layer, x, list(weights), first))
            builder.emit_func_output(out)
    return builder.get()


def _variable(name: str, shape: Sequence[int]) -> Any:
    from tvm import relax

    return relax.Var(name, relax.TensorType(tuple(shape), "float32"))


def _bias_shape(op: Op) -> tuple[int, ...]:
    linear = op.kind == "linear"
    return (1, padded_classes(op.out_channels)) if linear else (1, 1, 1, op.out_channels)


def _hwio(weight_OIHW: Floats) -> Floats:
    return np.transpose(weight_OIHW, (2, 3, 1, 0))


def _emit_ops(builder: Any, layer: Layer, x: Any, weights: list[Any], first: bool) -> Any:
    held = {"": x}
    for index, op in enumerate(layer.ops):
        read = [held[name] for name in op.inputs]
        if op.weights:
            value = _emit_weighted(builder, op, read[0], weights.pop(0), first and index == 0)
            if op.bias:
                value = builder.emit(_operators().add(value, weights.pop(0)))
        else:
            value = builder.emit(_weightless(op, read))
        held[op.name] = value = _emit_activation(builder, op, value)
    return value


def _weightless(op: Op, read: list[Any]) -> Any:
    R = _operators()
    if op.kind == "scale":
        return R.multiply(read[0], read[1])
    if op.kind == "add":
        return R.add(read[0], read[1])
    if op.kind == "pool":
        return R.mean(read[0], axis=[1, 2], keepdims=True)
    window, strides = (op.kernel, op.kernel), (op.stride, op.stride)
    if op.kind == "max_pool":
        return R.nn.max_pool2d(read[0], window, strides, (op.kernel // 2,) * 4, layout="NHWC")
    assert op.kind == "average_pool"
    return R.nn.avg_pool2d(read[0], window, strides, ceil_mode=True, layout="NHWC")


def _operators() -> Any:
    from tvm.relax import op

    return op


def _emit_weighted(builder: Any, op: Op, value: Any, weight: Any, first: bool) -> Any:
    if op.kind == "linear":
        return builder.emit_te(_linear, value, weight, primfunc_name_hint="linear")
    if first:
        return builder.emit_te(
            _first_convolution, value, weight, op.stride, op.kernel // 2, primfunc_name_hint="first_conv2d"
        )
    return builder.emit(
        _operators().nn.conv2d(
            value,
            weight,
            strides=(op.stride, op.stride),
            padding=(op.kernel // 2,) * 4,
            groups=op.in_channels if op.kind == "depthwise" else 1,
            data_layout="NHWC",
            kernel_layout="HWIO",
        )
    )


def _emit_activation(builder: Any, op: Op, value: Any) -> Any:
    from tvm import relax

    R = _operators()

    def number(constant: float) -> Any:
        return relax.const(constant, "float32")

    if op.activation == "none":
        return value
    if op.activation == "relu":
        return builder.emit(R.nn.relu(value))
    if op.activation == "relu6":
        return builder.emit(R.clip(value, 0, 6))
    gate = builder.emit(R.add(value, number(3.0)))
    gate = builder.emit(R.clip(gate, 0, 6))
    gate = builder.emit(R.multiply(gate, number(1 / 6)))
    return builder.emit(R.multiply(value, gate)) if op.activation == "h_swish" else gate


def _first_convolution(x_NCHW: Any, w_HWCO: Any, stride: int, padding: int) -> Any:
    """Returns the convolution of a channels-first image as a channels-last map, with no transpose."""
    from tvm import te, topi

    height, width, channels, outputs = (int(n) for n in w_HWCO.shape)
    padded = topi.nn.pad(x_NCHW, (0, 0, padding, padding))
    size = (int(x_NCHW.shape[2]) + 2 * padding - height) // stride + 1
    c = te.reduce_axis((0, channels), "c")
    h = te.reduce_axis((0, height), "h")
    w = te.reduce_axis((0, width), "w")
    return te.compute(
        (1, size, size, outputs),
        lambda n, y, x, o: te.sum(
            padded[n, c, y * stride + h, x * stride + w] * w_HWCO[h, w, c, o], axis=[h, w, c]
        ),
        name="first_conv2d",
    )


def _linear(x_NHWC: Any, w_CO: Any) -> Any:
    from tvm import te

    channels, outputs = (int(n) for n in w_CO.shape)
    c = te.reduce_axis((0, channels), "c")
    return te.compute(
        (1, outputs), lambda n, o: te.sum(x_NHWC[n, 0, 0, c] * w_CO[c, o], axis=[c]), name="linear"
    )
