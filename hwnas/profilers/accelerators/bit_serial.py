"""A bit-serial matrix engine in the manner of BISMO: time goes with weight bits x activation bits.

A convolution is a product of matrices, pixels x taps and taps x filters, with one pass of the array
for each bit of the weights with each bit of the activations. A depthwise convolution is one such
product for each channel, with k^2 taps and a single filter, which leaves most of the array idle.
Pooling, adding and scaling take the traffic of their maps.

Source: BISMO (Umuroglu et al., FPL 2018); that real gains fall short of the bits' ratio is in
`pass_overhead_bits`.
"""

from collections.abc import Sequence
from typing import Annotated, Literal, final

from pydantic import Field

from hwnas.profilers.accelerators.accelerator import (
    Accelerator,
    Count,
    NotNegative,
    Positive,
    Price,
    Widths,
    groups,
    read_times,
)
from hwnas.spaces import Op, Pair, crossed


@final
class BitSerial(Accelerator):
    """One bit-serial array.

    Attributes:
        rows, depth, columns: pixels, bits of a dot product, and filters that are taken in a cycle.
        weight_bits, activation_bits: the choices of a search.
        pass_overhead_bits: what every product of operands takes on top of its passes, in passes.
        bandwidth_gb_per_s: of external memory.
        weight_buffer_kib, activation_buffer_kib: on the chip.
        partial_sum_bits: of each output that is written.
        op_overhead_us: the start of an operation.
        busy_power_w: of the board at work; None where unknown.
    """

    runtime: Literal["bit-serial"]
    rows: Count
    depth: Count
    columns: Count
    weight_bits: Widths
    activation_bits: Widths
    pass_overhead_bits: NotNegative
    bandwidth_gb_per_s: Positive
    weight_buffer_kib: Positive
    activation_buffer_kib: Positive
    partial_sum_bits: Annotated[int, Field(ge=1, le=64)]
    op_overhead_us: NotNegative
    busy_power_w: Positive | None = None

    @property
    def title(self) -> str:
        """The array and its clock."""
        array = f"{self.rows} x {self.depth} x {self.columns}"
        return f"bit-serial array of {array} at {self.clock_mhz:g} MHz, cycle model"

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Every combination of its choices."""
        return crossed(self.weight_bits, self.activation_bits)

    @property
    def energy_boundary(self) -> str:
        """The board."""
        return "the whole board, at the power it takes at work"

    def op_refusal(self, op: Op) -> str | None:
        """Returns None: what is not in `lacks` runs."""
        return None

    def op_prices(self, ops: Sequence[Op], pair: Pair) -> list[Price]:
        """Returns the longer of computing and moving, and the board's power over it."""
        times = [op_latency_ms(op, pair, self) for op in ops]
        return [Price.at_power(ms, self.busy_power_w) for ms in times]


def op_latency_ms(op: Op, pair: Pair, array: BitSerial) -> float:
    """Returns the time of one operation on one image, with (weight, activation) bits."""
    computing = pass_cycles(op, array) * (pair[0] * pair[1] + array.pass_overhead_bits) / array.clock_mhz
    moving = moved_bits(op, pair, array) / 8 / (array.bandwidth_gb_per_s * 1e3)
    return (max(computing, moving) + array.op_overhead_us) / 1e3


def pass_cycles(op: Op, array: BitSerial) -> int:
    """Returns the cycles of one pass, one bit with one bit; none without weights."""
    if not op.weights:
        return 0
    products, taps, filters = 1, op.in_channels * op.kernel**2, op.out_channels
    if op.kind == "depthwise":
        products, taps, filters = op.out_channels, op.kernel**2, 1
    pixels = groups(op.out_size_px**2, array.rows)
    return products * pixels * groups(taps, array.depth) * groups(filters, array.columns)


def moved_bits(op: Op, pair: Pair, array: BitSerial) -> int:
    """Returns the bits moved to and from external memory."""
    weight_bits, activation_bits = pair
    if not op.weights:
        return op.map_elements * activation_bits
    read = read_times(
        op.in_channels * op.in_size_px**2 * activation_bits,
        op.weights * weight_bits,
        int(array.activation_buffer_kib * 8 * 1024),
        int(array.weight_buffer_kib * 8 * 1024),
    )
    return read + array.partial_sum_bits * op.out_channels * op.out_size_px**2
