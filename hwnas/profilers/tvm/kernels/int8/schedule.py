"""Schedules of 8-bit kernels by rule: they are good enough to run without a search.

Kernels that are built on the dot product instruction are those of `vnni`. The others keep vectors of
channels in registers while they go over a window or a map.
"""

import math
from typing import Any

from hwnas.profilers.tvm.kernels.divisors import divisors
from hwnas.profilers.tvm.kernels.int8.vnni import LANES, OUT, form_of, sketches

RULES = 2
"""The number of all rules, those of `vnni` and `schedule_float` too: raise it when they change, so that all
is compiled anew."""

_VECTORS = 4
"""Vectors of channels that a sum over a whole map keeps at a time."""

_COLUMNS = 8
"""Pixels in a row that a window's sums are kept of at a time."""


def schedule_by_rule(module: Any) -> Any:
    """Returns TVM's schedule object for an 8-bit kernel.

    Args:
        module: with the kernel as `main`.
    """
    import tvm

    form = form_of(module["main"])
    if form == "dot":
        return sketches(module, most=1)[0]
    sketch = tvm.s_tir.Schedule(module)
    for name in ("levels", "padded"):
        if _has(sketch, name):
            _over_channels(sketch, sketch.get_sblock(name))
    out = sketch.get_sblock(OUT)
    if form == "scale":
        _over_channels(sketch, out)
    else:
        _sums(sketch, out, one_pixel=form == "pool")
    return sketch


def _has(sketch: Any, name: str) -> bool:
    blocks = sketch.get_child_blocks(sketch.get_sblock("root"))
    return any(sketch.get(block).name_hint == name for block in blocks)


def _over_channels(sketch: Any, block: Any) -> None:
    """Makes an elementwise block run on vectors along its last axis."""
    last = sketch.get_loops(block)[-1]
    lanes = math.gcd(int(sketch.get(last).extent), 4 * LANES)
    if lanes >= 4:
        _, lane = sketch.split(last, [None, lanes])
        sketch.vectorize(lane)


def _sums(sketch: Any, out: Any, one_pixel: bool) -> None:
    """Makes sums over windows, or over a whole map, in registers, and what follows them right after."""
    n, i, j, c = sketch.get_loops(out)
    size, channels = int(sketch.get(j).extent), int(sketch.get(c).extent)
    lanes = math.gcd(channels, LANES)
    vectors = max(divisors(channels // lanes, _VECTORS)) if one_pixel else 1
    columns = max(divisors(size, _COLUMNS))
    j, column = sketch.split(j, [None, columns])
    c, vector, lane = sketch.split(c, [None, vectors, lanes])
    sketch.reorder(n, c, i, j, column, vector, lane)
    sums = sketch.get_sblock("sums")
    sketch.compute_at(sums, j, preserve_unit_loops=True)
    _, _, sum_column, sum_c, *reduced = sketch.get_loops(sums)[4:]
    sum_vector, sum_lane = sketch.split(sum_c, [None, lanes])
    sketch.reorder(*reduced, sum_column, sum_vector, sum_lane)
    for loop in (lane, sum_lane):
        sketch.vectorize(loop)
    for loop in (column, vector, sum_column, sum_vector, *([] if one_pixel else reduced)):
        sketch.unroll(loop)
    sketch.decompose_reduction(sums, reduced[0])  # the loops that set zeros are like those that sum
