"""8-bit layers as loops: what TVM compiles where a layer has 8 bits.

Maps are uint8 NHWC, the image that enters the first layer float32 NCHW. Products of dense convolutions
and the classifier are summed by the VNNI instruction, those of other layers in float32, which is
exact: sums stay below 2**24. What follows the sums, up to the next uint8, is in the same kernel, see
`rounding`. Maps are padded with their zero point, so that it is part of the bias.
"""

from collections.abc import Callable, Sequence
from typing import Any

from hwnas.profilers.tvm.kernels.int8.pieces import IMAGE_NUMBERS, Form, Piece
from hwnas.profilers.tvm.kernels.int8.rounding import (
    TO_LEVELS,
    count_numbers,
    emit_chain,
    emit_steps,
)
from hwnas.profilers.tvm.kernels.int8.vnni import DEPTH, DOT, FORM, LANES, OUT
from hwnas.spaces import Op


def emit_piece(piece: Piece) -> Any:
    """Returns the PrimFunc of a kernel: of its maps, its numbers as `layer_numbers` has them, its result."""
    from tvm import te

    build = {"dot": _dot, "logits": _logits, "image": _sums, "depthwise": _sums}.get(piece.form, _weightless)
    return _marked(te.create_prim_func(build(piece)), "dot" if piece.form == "logits" else piece.form)


def emit_quantize(reads: Sequence[int], makes: Sequence[int]) -> Any:
    """Returns the PrimFunc that rounds a float32 map to uint8: as many of its channels as are made."""
    return _elementwise(reads, makes, "float32", lambda x, number: emit_chain(TO_LEVELS, x, number), 4)


def emit_dequantize(reads: Sequence[int], makes: Sequence[int]) -> Any:
    """Returns the PrimFunc that turns a uint8 map into the float32 that it stands for, filled up with 0."""
    return _elementwise(reads, makes, "uint8", lambda x, number: (_float(x) - number(0)) * number(1), 2)


def _elementwise(
    reads: Sequence[int], makes: Sequence[int], dtype: str, body: Callable[[Any, Any], Any], count: int
) -> Any:
    from tvm import te, tirx

    x, p = te.placeholder(tuple(reads), dtype, "x"), te.placeholder((count,), "float32", "p")

    def value(*at: Any) -> Any:
        made = body(x(*at), lambda i: p[i])
        return tirx.if_then_else(at[-1] < reads[-1], made, 0.0) if makes[-1] > reads[-1] else made

    return _marked(te.create_prim_func([x, p, te.compute(tuple(makes), value, name=OUT)]), "scale")


def _marked(function: Any, form: Form) -> Any:
    return function.with_attr("global_symbol", "main").with_attr(FORM, form)


def _float(value: Any) -> Any:
    from tvm import tirx

    return tirx.Cast("float32", value)


def _integer(value: Any) -> Any:
    from tvm import tirx

    return tirx.Cast("int32", value)


def _dot(piece: Piece) -> list[Any]:
    from tvm import te

    op, size = piece.op, piece.op.in_size_px
    x = te.placeholder((1, size, size, op.in_channels), "uint8", "x")
    maps = [x] + [te.placeholder(piece.out_shape, "uint8", "other") for _ in piece.maps[1:]]
    w = te.placeholder(piece.weight_shape, "int8", "w")
    bias, factor, p = _vectors(piece, "int32")
    read = x
    if op.kernel > 1 or piece.padded_depth > op.in_channels:
        read = _padded(x, op, piece.padded_depth, lambda at: x(*at), p, "uint8")
    sums = _products(piece, read, w)
    out = te.compute(
        piece.out_shape,
        lambda n, i, j, o: emit_chain(
            piece.chain,
            _float(sums[i, j, o] + bias[o]) * factor[o],
            lambda index: p[1 + index],
            _float(maps[1][n, i, j, o]) if piece.add else None,
        ),
        name=OUT,
    )
    return [*maps, w, bias, factor, p, out]


def _logits(piece: Piece) -> list[Any]:
    from tvm import te

    x = te.placeholder((1, 1, 1, piece.op.in_channels), "uint8", "x")
    w = te.placeholder(piece.weight_shape, "int8", "w")
    bias = te.placeholder((piece.padded_lanes,), "float32", "bias")
    zero = te.placeholder((piece.padded_lanes,), "int32", "zero")
    factor = te.placeholder((piece.padded_lanes,), "float32", "factor")
    read = x
    if piece.padded_depth > piece.op.in_channels:
        read = _padded(x, piece.op, piece.padded_depth, lambda at: x(*at), None, "uint8")
    sums = _products(piece, read, w)
    out = te.compute(
        piece.out_shape, lambda n, o: _float(sums[0, 0, o] + zero[o]) * factor[o] + bias[o], name=OUT
    )
    return [x, w, bias, zero, factor, out]


def _vectors(piece: Piece, bias_dtype: str) -> tuple[Any, Any, Any]:
    """A kernel's bias, factors and numbers: the zero point of what it reads and those of its chain."""
    from tvm import te

    channels = (piece.op.out_channels,)
    count = 1 + count_numbers(piece.chain)
    return (
        te.placeholder(channels, bias_dtype, "bias"),
        te.placeholder(channels, "float32", "factor"),
        te.placeholder((count + (IMAGE_NUMBERS if piece.form == "image" else 0),), "float32", "p"),
    )


def _products(piece: Piece, x: Any, w: Any) -> Any:
    """int32 sums of products [height, width, padded_lanes]."""
    from tvm import te

    op, size = piece.op, piece.op.out_size_px
    window = [te.reduce_axis((0, op.kernel), name) for name in ("h", "w")] if op.kernel > 1 else []
    k, part = te.reduce_axis((0, piece.padded_depth // DEPTH), "k"), te.reduce_axis((0, DEPTH), "part")

    def product(i: Any, j: Any, o: Any) -> Any:
        row, column = i * op.stride, j * op.stride
        if window:
            row, column = row + window[0], column + window[1]
        element = x[0, row, column, k * DEPTH + part]
        weight = w(o // LANES, *window, k, o % LANES, part)
        return te.sum(_integer(element) * _integer(weight), axis=[*window, k, part])

    return te.compute((size, size, piece.padded_lanes), product, name=DOT)


def _padded(x: Any, op: Op, channels: int, element: Callable[[Any], Any], p: Any, dtype: str) -> Any:
    """A map with its zero point around it, and zeros in the channels that are filled up."""
    from tvm import te, tirx

    border, size = op.kernel // 2, op.in_size_px
    zero = tirx.Cast(dtype, p[0]) if p is not None else tirx.const(0, dtype)

    def value(n: Any, i: Any, j: Any, c: Any) -> Any:
        inside = []
        if border:
            inside += [i >= border, i < border + size, j >= border, j < border + size]
        if channels > op.in_channels:
            inside.append(c < op.in_channels)
        return tirx.if_then_else(tirx.all(*inside), element((n, i - border, j - border, c)), zero)

    return te.compute((1, size + 2 * border, size + 2 * border, channels), value, name="padded")


def _padded_planes(planes: Any, op: Op, zero: Any) -> Any:
    from tvm import te, tirx

    border, size = op.kernel // 2, op.in_size_px

    def value(n: Any, c: Any, i: Any, j: Any) -> Any:
        inside = tirx.all(i >= border, i < border + size, j >= border, j < border + size)
        return tirx.if_then_else(inside, planes[n, c, i - border, j - border], zero)

    return te.compute((1, op.in_channels, *[size + 2 * border] * 2), value, name="padded")


def _sums(piece: Piece) -> list[Any]:
    """A depthwise convolution, or that of the image, which is rounded first."""
    from tvm import te

    op, size, image = piece.op, piece.op.in_size_px, piece.form == "image"
    shape = (1, op.in_channels, size, size) if image else (1, size, size, op.in_channels)
    x = te.placeholder(shape, "float32" if image else "uint8", "x")
    maps = [x] + [te.placeholder(piece.out_shape, "uint8", "other") for _ in piece.maps[1:]]
    w = te.placeholder(piece.weight_shape, "float32", "w")
    bias, factor, p = _vectors(piece, "float32")
    first = IMAGE_NUMBERS if image else 0
    if image:
        # Planes are rounded in one go, then padded: both are quick, at once they are not.
        levels = te.compute(
            shape, lambda *at: emit_steps(TO_LEVELS, x(*at), lambda i: p[1 + i]) - p[5], name="levels"
        )
        read = _padded_planes(levels, op, p[0])
    else:
        read = _padded(x, op, op.in_channels, lambda at: x(*at), p, "uint8")
    h, v = te.reduce_axis((0, op.kernel), "h"), te.reduce_axis((0, op.kernel), "v")
    c = te.reduce_axis((0, op.in_channels), "c")

    def product(n: Any, i: Any, j: Any, o: Any) -> Any:
        row, column = i * op.stride + h, j * op.stride + v
        if image:
            return te.sum(read[n, c, row, column] * w[h, v, c, o], axis=[h, v, c])
        return te.sum(_float(read[n, row, column, o]) * w[h, v, o], axis=[h, v])

    sums = te.compute(piece.out_shape, product, name="sums")
    out = te.compute(
        piece.out_shape,
        lambda n, i, j, o: emit_chain(
            piece.chain,
            (sums[n, i, j, o] + bias[o]) * factor[o],
            lambda index: p[1 + first + index],
            _float(maps[1][n, i, j, o]) if piece.add else None,
        ),
        name=OUT,
    )
    return [*maps, w, bias, factor, p, out]


def _weightless(piece: Piece) -> list[Any]:
    from tvm import te

    op, size = piece.op, piece.op.in_size_px
    x = te.placeholder((1, size, size, op.in_channels), "uint8", "x")
    p = te.placeholder((3 + count_numbers(piece.chain),), "float32", "p")
    maps = [x]
    if piece.form == "scale":
        maps.append(te.placeholder((1, 1, 1, op.in_channels), "uint8", "gate"))
    value = {"scale": _scaled, "pool": _mean, "max_pool": _largest, "average_pool": _window_mean}[piece.form](
        op, maps, p
    )
    out = te.compute(
        piece.out_shape,
        lambda n, i, j, c: emit_chain(piece.chain, value(n, i, j, c), lambda index: p[3 + index]),
        name=OUT,
    )
    return [*maps, p, out]


def _scaled(op: Op, maps: Sequence[Any], p: Any) -> Callable[..., Any]:
    x, gate = maps
    return lambda n, i, j, c: (_float(x[n, i, j, c]) - p[0]) * ((_float(gate[n, 0, 0, c]) - p[1]) * p[2])


def _mean(op: Op, maps: Sequence[Any], p: Any) -> Callable[..., Any]:
    from tvm import te

    h, v = (te.reduce_axis((0, op.in_size_px), name) for name in ("h", "v"))
    sums = te.compute(
        (1, 1, 1, op.in_channels),
        lambda n, i, j, c: te.sum(_integer(maps[0][n, h, v, c]), axis=[h, v]),
        name="sums",
    )
    return lambda *at: (_float(sums(*at)) - p[0]) * p[1]


def _largest(op: Op, maps: Sequence[Any], p: Any) -> Callable[..., Any]:
    from tvm import te

    # Padded with the least level: every window holds a level of the map.
    read = _padded(maps[0], op, op.in_channels, lambda at: maps[0](*at), None, "uint8")
    h, v = (te.reduce_axis((0, op.kernel), name) for name in ("h", "v"))
    size = op.out_size_px
    most = te.compute(
        (1, size, size, op.in_channels),
        lambda n, i, j, c: te.max(read[n, i * op.stride + h, j * op.stride + v, c], axis=[h, v]),
        name="sums",
    )
    return lambda *at: (_float(most(*at)) - p[0]) * p[1]


def _window_mean(op: Op, maps: Sequence[Any], p: Any) -> Callable[..., Any]:
    from tvm import te, tirx

    size, out = op.in_size_px, op.out_size_px
    h, v = (te.reduce_axis((0, op.kernel), name) for name in ("h", "v"))

    def element(n: Any, i: Any, j: Any, c: Any) -> Any:
        row, column = i * op.stride + h, j * op.stride + v
        inside = tirx.all(row < size, column < size)
        return te.sum(tirx.if_then_else(inside, _float(maps[0][n, row, column, c]) - p[0], 0.0), axis=[h, v])

    sums = te.compute((1, out, out, op.in_channels), element, name="sums")

    def held(at: Any) -> Any:
        return tirx.min(op.kernel, size - at * op.stride)

    return lambda n, i, j, c: sums[n, i, j, c] * p[1] / _float(held(i) * held(j))
