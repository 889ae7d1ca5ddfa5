"""Schedules of floating-point kernels by rule: for kernels not tuned, and for the search to begin with.

A kernel is sums over a window or over channels, and what is made of them one by one. Sums of some
pixels and some vectors of channels are kept in registers together, so that what is loaded serves
several of them.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from hwnas.profilers.tvm.kernels.divisors import divisors
from hwnas.profilers.tvm.target import Target

# Floats in a vector, and vectors that sums may be kept in; others have 4 and 12.
_LANES = {"x86-64-v4": 16, "x86-64-v3": 8}
_SUMS = {"x86-64-v4": 28, "x86-64-v3": 12}
# Products in a row for each sum: 8 run as fast, but take a fifth longer to compile.
_DEPTH = 2
_REDUCED = 2  # TVM's number for an axis that is summed up


@dataclass(frozen=True)
class Tile:
    """What is summed up together, and how the rest goes.

    Attributes:
        rows, columns: of pixels.
        vectors: of channels.
        depth: products in a row for each sum.
        channels_outside: whether all pixels are done for some channels before other channels.
        parallel: whether the outermost of these loops is shared out to threads.
    """

    rows: int
    columns: int
    vectors: int
    depth: int
    channels_outside: bool
    parallel: bool = False


def default_schedule(module: Any, target: Target) -> Any:
    """Returns TVM's schedule object for a kernel that was not tuned.

    Args:
        module: with the kernel as `main`.
        target: what it will be compiled for; for others than CPUs, and for kernels of other forms,
            it is TVM's default.
    """
    import tvm

    return next(sketches(module, target, most=1), None) or tvm.s_tir.Schedule(module)


def has_rule(module: Any, target: Target) -> bool:
    """Returns whether a kernel is scheduled by rule; otherwise it has TVM's default.

    Args:
        module: with the kernel as `main`.
        target: what it will be compiled for.
    """
    import tvm

    return target.kind == "llvm" and _sums(tvm.s_tir.Schedule(module)) is not None


def sketches(module: Any, target: Target, most: int) -> Iterator[Any]:
    """Yields schedules of a kernel, the most promising first; none where the rule does not know its form.

    Args:
        module: with the kernel as `main`.
        target: what it will be compiled for.
        most: schedules.
    """
    import tvm

    if target.kind != "llvm":
        return
    sketch = tvm.s_tir.Schedule(module)
    sums = _sums(sketch)
    if sums is None:
        return
    *_, channels = out = _extents(sketch, sketch.get_output_blocks("root")[0])
    rows, columns = (out[1], out[2]) if len(out) == 4 else (1, 1)
    lanes = math.gcd(channels, _LANES.get(target.mcpu, 4))
    found = tiles(
        rows,
        columns,
        channels // lanes,
        _extents(sketch, sums)[-1],
        _SUMS.get(target.mcpu, 12),
        _is_grouped(sketch, sums),
    )
    if target.threads > 1:
        found = [replace(tile, parallel=parallel) for tile in found for parallel in (False, True)]
    for tile in found[:most]:
        yield scheduled(module, tile, lanes)


def tiles(rows: int, columns: int, vectors: int, depth: int, registers: int, grouped: bool) -> list[Tile]:
    """Returns ways to cut a kernel, the most promising first.

    Args:
        rows, columns: of the output.
        vectors: of its channels.
        depth: of the innermost sum.
        registers: vectors that sums may be kept in.
        grouped: whether each channel is summed up by itself; what is loaded serves its window only.
    """
    shapes = [
        (some_rows, some_columns, some)
        for some_columns in divisors(columns, 14)
        for some_rows in (divisors(rows, 4) if grouped or some_columns == columns else [1])
        for some in divisors(vectors, 2 if grouped else 8)
        if some_rows * some_columns * some <= (registers // 2 if grouped else registers)
    ]

    def loads(shape: tuple[int, int, int]) -> float:
        pixels, some = shape[0] * shape[1], shape[2]
        # Fewer than eight sums at a time leave the multipliers waiting for their own results.
        waiting = max(0, 8 - pixels * some) / 4
        return waiting + ((1 / shape[0] + 1 / shape[1]) if grouped else (pixels + some) / (pixels * some))

    found: list[Tile] = []
    for shape in sorted(shapes, key=loads):
        whole = shape[2] == vectors or shape[0] * shape[1] == rows * columns
        orders = [True] if grouped or whole else [True, False]
        found += [Tile(*shape, max(divisors(depth, _DEPTH)), order) for order in orders]
    return found


def scheduled(module: Any, tile: Tile, lanes: int) -> Any:
    """Returns TVM's schedule object of a kernel cut as the tile says.

    Args:
        module: with the kernel as `main`.
        tile: must divide the kernel.
        lanes: floats in a vector.
    """
    import tvm

    sketch = tvm.s_tir.Schedule(module)
    sums = _sums(sketch)
    assert sums is not None
    pad = _leave_sums(sketch, sums)
    (out,) = sketch.get_output_blocks("root")
    *around, channel = sketch.get_loops(out)
    while len(around) < 3:  # a classifier has but one pixel
        around.append(sketch.add_unit_loop(channel))
    batch, row, column = around
    row, some_rows = sketch.split(row, [None, tile.rows])
    column, some_columns = sketch.split(column, [None, tile.columns])
    channel, vector, lane = sketch.split(channel, [None, tile.vectors, lanes])
    outside = [channel, row, column] if tile.channels_outside else [row, column, channel]
    sketch.reorder(batch, *outside, some_rows, some_columns, vector, lane)
    sketch.compute_at(sums, outside[-1], preserve_unit_loops=True)
    if pad is not None:
        if _is_grouped(sketch, sums):
            sketch.compute_at(pad, channel, preserve_unit_loops=True)
        _over_last(sketch, pad, lanes)
    if tile.parallel:
        sketch.parallel(next((one for one in outside if int(sketch.get(one).extent) > 1), outside[0]))
    _sum_up(sketch, sums, tile.depth, lanes)
    sketch.vectorize(lane)
    for loop in (some_rows, some_columns, vector):
        sketch.unroll(loop)
    return sketch


def _sum_up(sketch: Any, sums: Any, depth: int, lanes: int) -> None:
    """Keeps the sums of a tile in registers while it goes over what is summed up."""
    own = len(sketch.get(sums).iter_vars)
    loops = sketch.get_loops(sums)[-own:]
    kinds = [int(one.iter_type) for one in sketch.get(sums).iter_vars]
    *pixels, channel = [loop for loop, kind in zip(loops, kinds, strict=True) if kind != _REDUCED]
    *window, last = [loop for loop, kind in zip(loops, kinds, strict=True) if kind == _REDUCED]
    vector, lane = sketch.split(channel, [None, lanes])
    last, some = sketch.split(last, [None, depth])
    sketch.reorder(*window, last, some, *pixels, vector, lane)
    sketch.vectorize(lane)  # now: once the sums' start is apart, TVM cannot tell that this is safe
    start = sketch.decompose_reduction(sums, (*window, last)[0])
    *start_loops, start_lane = sketch.get_loops(start)[-len(pixels) - 2 :]
    sketch.vectorize(start_lane)
    for loop in (some, *pixels, vector, *start_loops):
        sketch.unroll(loop)
    if _is_grouped(sketch, sums):
        for loop in (*window, last):
            sketch.unroll(loop)


def _leave_sums(sketch: Any, sums: Any) -> Any | None:
    """Inlines all but sums, output and padding; the last is returned where it does something."""
    pads = sketch.get_producers(sums)
    *window, _ = [n for n, one in _iterations(sketch, sums) if one == _REDUCED]
    kept = {sketch.get(one).name_hint for one in [sums, *sketch.get_output_blocks("root")]}
    if math.prod(window) > 1:
        kept |= {sketch.get(one).name_hint for one in pads}
    for block in sketch.get_child_blocks(sketch.get_sblock("root")):
        if sketch.get(block).name_hint not in kept:
            sketch.compute_inline(block)
    return pads[0] if pads and math.prod(window) > 1 else None


def _over_last(sketch: Any, block: Any, lanes: int) -> None:
    """Makes a block run on vectors along its last axis."""
    last = sketch.get_loops(block)[-1]
    some = math.gcd(int(sketch.get(last).extent), lanes)
    if some > 1:
        _, lane = sketch.split(last, [None, some])
        sketch.vectorize(lane)


def _sums(sketch: Any) -> Any | None:
    """The one block that sums up; None where there is none or are several."""
    blocks = sketch.get_child_blocks(sketch.get_sblock("root"))
    found = [b for b in blocks if any(kind == _REDUCED for _, kind in _iterations(sketch, b))]
    return found[0] if len(found) == 1 else None


def _is_grouped(sketch: Any, sums: Any) -> bool:
    return "group" in str(sketch.get(sums).name_hint)


def _extents(sketch: Any, block: Any) -> list[int]:
    return [extent for extent, _ in _iterations(sketch, block)]


def _iterations(sketch: Any, block: Any) -> list[tuple[int, int]]:
    """Extent and kind of each axis of a block."""
    return [(int(one.dom.extent), int(one.iter_type)) for one in sketch.get(block).iter_vars]
