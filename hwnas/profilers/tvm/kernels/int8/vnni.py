"""Kernels built on the dot product instruction of AVX512-VNNI, and their schedules.

A kernel whose multiplications are `tensor intrinsics` can be searched by a few decisions: how many
pixels and output channels are summed up together in registers, and in which order the rest goes.
"""

import math
from dataclasses import dataclass
from typing import Any

from hwnas.profilers.machine.processor import LEVELS, processor_features
from hwnas.profilers.tvm.dot import NAME
from hwnas.profilers.tvm.kernels.divisors import divisors
from hwnas.profilers.tvm.target import Target

LANES, DEPTH = 16, 4
"""Outputs that one instruction adds to, and products that it adds to each."""

FORM = "hwnas.form"
"""The attribute of 8-bit kernels: how they compute; `dot` is built on the instruction."""

DOT, OUT = "dot", "out"
"""Names of the blocks: the products, and what is made of the sums."""


def form_of(function: Any) -> str | None:
    """Returns how an 8-bit kernel computes; None for one in floating point."""
    form = function.attrs.get(FORM) if function.attrs is not None else None
    return None if form is None else str(form)


def needs_vnni(function: Any) -> bool:
    """Returns whether a kernel is built on the instruction."""
    return form_of(function) == "dot"


def vnni_here() -> bool:
    """Returns whether this machine's processor has the instruction, and what goes with it."""
    return {"avx512_vnni", *LEVELS["x86-64-v4"]} <= processor_features()


def kernel_target(function: Any, target: Target) -> Any:
    """Returns TVM's target for a kernel: with the instruction where it is built on that."""
    import tvm

    made = target.to_tvm()
    if not needs_vnni(function):
        return made
    return tvm.target.Target({**made.export(), "mattr": ["+avx512vnni"]})


@dataclass(frozen=True)
class Tile:
    """How a kernel's loops are cut: what is summed up together, and what goes round it.

    Attributes:
        rows, columns: of pixels summed up together.
        blocks: of 16 output channels summed up together.
        depth: instructions in a row for each sum.
        blocks_outside: whether all pixels are done for some channels before other channels.
        unrolled: whether what follows the sums is written out for each of them.
    """

    rows: int
    columns: int
    blocks: int
    depth: int
    blocks_outside: bool
    unrolled: bool


_REGISTERS = 28


def tiles(size_px: int, blocks: int, depth: int, whole: bool, most: int = 24) -> list[Tile]:
    """Returns tiles worth trying, the most promising first.

    Each step of depth loads a register for each pixel and one for each block of channels, and runs
    an instruction for each pair; sums stay in registers where there are at most some 28.

    Args:
        size_px: side of the output map.
        blocks: of 16 output channels.
        depth: instructions for each sum.
        whole: whether channels fill their blocks: what follows the sums of some blocks can then be
            done before other blocks.
        most: tiles returned.
    """
    shapes = [
        (rows, columns, some)
        for columns in divisors(size_px, 16)
        for rows in (divisors(size_px, 8) if columns == size_px else [1])
        for some in divisors(blocks, 8)
        if rows * columns * some <= _REGISTERS
    ]

    def loads(shape: tuple[int, int, int]) -> float:
        pixels, some = shape[0] * shape[1], shape[2]
        # Fewer than eight sums at a time leave the instruction waiting for its own result.
        return (pixels + some) / (pixels * some) + max(0, 8 - pixels * some) / 4

    found = []
    for shape in sorted(shapes, key=loads):
        orders = (
            [True, False] if whole and shape[2] < blocks and shape[0] * shape[1] < size_px**2 else [False]
        )
        for order in orders:
            for steps in sorted({max(divisors(depth, 2)), max(divisors(depth, 5))}):
                found += [Tile(*shape, steps, order, unrolled) for unrolled in (False, True)]
    return found[:most]


def sketches(module: Any, most: int = 24) -> list[Any]:
    """Returns schedules of a kernel that is built on the instruction, the most promising first."""
    return [scheduled(module, tile) for tile in tiles(*_extents(module), most=most)]


def scheduled(module: Any, tile: Tile) -> Any:
    """Returns TVM's schedule object of a kernel cut as the tile says."""
    import tvm

    sketch = tvm.s_tir.Schedule(module)
    dot, out = sketch.get_sblock(DOT), sketch.get_sblock(OUT)
    i, j, o, *window, k, part = sketch.get_loops(dot)
    rows, i = sketch.split(i, [None, tile.rows])
    columns, j = sketch.split(j, [None, tile.columns])
    blocks, o, lane = sketch.split(o, [None, tile.blocks, LANES])
    depth, k = sketch.split(k, [None, tile.depth])
    outside = [blocks, rows, columns] if tile.blocks_outside else [rows, columns, blocks]
    sketch.reorder(*outside, *window, depth, k, i, j, o, lane, part)
    whole = _extents(module)[3]
    sketch.reverse_compute_at(out, outside[-1] if whole else columns)
    first = window[0] if window else depth
    start = sketch.decompose_reduction(dot, first)
    sketch.tensorize(lane, NAME)
    for loop in (k, i, j, o):
        sketch.unroll(loop)
    *_, start_i, start_j, start_o, start_lane = sketch.get_loops(start)
    sketch.vectorize(start_lane)
    for loop in (start_i, start_j, start_o):
        sketch.unroll(loop)
    _after_sums(sketch, out, tile)
    return sketch


def _after_sums(sketch: Any, out: Any, tile: Tile) -> None:
    """Makes what follows the sums run on vectors of channels."""
    loops = sketch.get_loops(out)
    channels = loops[-1]
    lanes = math.gcd(int(sketch.get(channels).extent), LANES)
    steps, lane = sketch.split(channels, [None, lanes])
    sketch.vectorize(lane)
    if tile.unrolled:
        for loop in (*loops[-3:-1], steps):
            sketch.unroll(loop)


def _extents(module: Any) -> tuple[int, int, int, bool]:
    """Side of the output map, blocks of channels, instructions for each sum, whether blocks are full."""
    import tvm

    sketch = tvm.s_tir.Schedule(module)
    dot, out = sketch.get_sblock(DOT), sketch.get_sblock(OUT)
    size, _, lanes, *_, depth, _ = (int(sketch.get(loop).extent) for loop in sketch.get_loops(dot))
    channels = int(sketch.get(sketch.get_loops(out)[-1]).extent)
    return size, lanes // LANES, depth, channels == lanes
