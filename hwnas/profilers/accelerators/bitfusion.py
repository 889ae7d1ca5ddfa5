"""A closed form of BitFusion: an array of fusion units whose operands may have 2, 4 or 8 bits.

A unit of 16 bricks of 2 x 2 bits does one product of 8 x 8 bits a cycle, four of 4 x 4, sixteen of
2 x 2: the *fusion* is floor(8 / a) x floor(8 / w), so that 6 bits compute at 8-bit speed and only
memory shrinks. Convolutions and linear layers take

    compute = Ho^2 k^2 ceil(IC / (rows x fusion)) ceil(OC / columns)
    bits    = inputs and weights, read again where neither fits its buffer, and 32-bit sums out and in
    cycles  = || 1.003 compute, 1.002 bits / 192 ||_4.96 + 289

Depthwise convolutions are emulated by ceil(C / (8 fusion)) dense ones of 8 fusion channels, each a call
of its own. Pooling, adding and scaling are not in BitFusion's simulator: here they take the traffic of
their maps and one call. Activation functions are free.

Source: BitFusion (Sharma et al., ISCA 2018) for the array; the closed form and its constants were fitted
to a published table of its simulator's cycles (see `sources` in the description).
"""

from collections.abc import Sequence
from typing import Annotated, Literal, final

from pydantic import Field

from hwnas.profilers.accelerators.accelerator import (
    Accelerator,
    Count,
    NotNegative,
    Overhead,
    Positive,
    Price,
    Widths,
    groups,
    read_times,
)
from hwnas.spaces import Op, Pair, crossed

_WIDEST, _NARROWEST = 8, 2
# Emulating a depthwise convolution, so many channels at a time for each brick's worth of fusion.
_EMULATED_CHANNELS = 8


@final
class BitFusion(Accelerator):
    """One BitFusion chip.

    Attributes:
        rows, columns: fusion units along input and output channels.
        weight_bits, activation_bits: the choices of a search.
        dram_bits_per_cycle: moved to and from external memory.
        weight_buffer_kib, activation_buffer_kib: on the chip; `usable_buffer_share` of each holds one
            operand while the next is fetched.
        partial_sum_bits: of each output that moves.
        compute_overhead, traffic_overhead, norm, call_cycles: of the closed form.
        mac_pj: a product of 8 x 8 bits; others cost a fusion-th of it.
        sram_pj_per_bit: of inputs read by a row of units, and of sums read and written by a column.
        dram_pj_per_bit: of everything moved.
        static_w: as long as the network runs.
    """

    runtime: Literal["bitfusion"]
    rows: Count
    columns: Count
    weight_bits: Widths
    activation_bits: Widths
    dram_bits_per_cycle: Positive
    weight_buffer_kib: Positive
    activation_buffer_kib: Positive
    usable_buffer_share: Annotated[float, Field(gt=0, le=1)]
    partial_sum_bits: Count
    compute_overhead: Overhead
    traffic_overhead: Overhead
    norm: Annotated[float, Field(ge=1, le=100)]
    call_cycles: NotNegative
    mac_pj: NotNegative
    sram_pj_per_bit: NotNegative
    dram_pj_per_bit: NotNegative
    static_w: NotNegative = 0.0

    @property
    def title(self) -> str:
        """The array and its clock."""
        return f"BitFusion of {self.rows} x {self.columns} units at {self.clock_mhz:g} MHz, closed form"

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Every combination of its choices."""
        return crossed(self.weight_bits, self.activation_bits)

    @property
    def energy_boundary(self) -> str:
        """The array and its memories."""
        return "the array, its buffers and external memory" + (" and static power" if self.static_w else "")

    def op_refusal(self, op: Op) -> str | None:
        """Returns None: what is not in `lacks` runs."""
        return None

    def op_prices(self, ops: Sequence[Op], pair: Pair) -> list[Price]:
        """Returns cycles at the clock, and energy by what is computed and moved."""
        return [self._price(op, pair) for op in ops]

    def _price(self, op: Op, pair: Pair) -> Price:
        latency_ms = op_cycles(op, pair, self) / (self.clock_mhz * 1e3)
        calls, dense = _calls(op, pair)
        computing, bits = calls * compute_cycles(dense, pair, self), calls * moved_bits(dense, pair, self)
        fused = fusion(pair)
        arithmetic_pj = calls * dense.macs * self.mac_pj / fused
        each_cycle = self.rows * fused * pair[1] + 2 * self.columns * self.partial_sum_bits
        memory_pj = computing * each_cycle * self.sram_pj_per_bit + bits * self.dram_pj_per_bit
        # 1e9 pJ are a mJ; W x ms are mJ.
        return Price(latency_ms, (arithmetic_pj + memory_pj) / 1e9 + self.static_w * latency_ms)


def fusion(pair: Pair) -> int:
    """Returns how many products of these weight and activation bits a unit does in a cycle."""
    weights, activations = (_WIDEST // max(bits, _NARROWEST) for bits in pair)
    return weights * activations


def op_cycles(op: Op, pair: Pair, chip: BitFusion) -> float:
    """Returns the cycles of one operation on one image, with (weight, activation) bits."""
    calls, dense = _calls(op, pair)
    computing = chip.compute_overhead * compute_cycles(dense, pair, chip)
    moving = chip.traffic_overhead * moved_bits(dense, pair, chip) / chip.dram_bits_per_cycle
    # Scaled by the larger, so that no power overflows.
    most = max(computing, moving)
    parts = (computing / most) ** chip.norm + (moving / most) ** chip.norm
    together = most * float(parts ** (1 / chip.norm))
    return calls * (together + chip.call_cycles)


def compute_cycles(op: Op, pair: Pair, chip: BitFusion) -> int:
    """Returns the cycles that the array works for a dense operation; none without weights."""
    if not op.weights:
        return 0
    inputs = groups(op.in_channels, chip.rows * fusion(pair))
    return op.out_size_px**2 * op.kernel**2 * inputs * groups(op.out_channels, chip.columns)


def moved_bits(op: Op, pair: Pair, chip: BitFusion) -> int:
    """Returns the bits that a dense operation moves to and from external memory."""
    weight_bits, activation_bits = pair
    if not op.weights:
        return op.map_elements * activation_bits
    usable = 8 * 1024 * chip.usable_buffer_share
    read = read_times(
        op.in_channels * op.in_size_px**2 * activation_bits,
        op.weights * weight_bits,
        int(chip.activation_buffer_kib * usable),
        int(chip.weight_buffer_kib * usable),
    )
    return read + 2 * chip.partial_sum_bits * op.out_channels * op.out_size_px**2


def _calls(op: Op, pair: Pair) -> tuple[int, Op]:
    """How many calls of which dense operation an operation is run as."""
    if op.kind != "depthwise":
        return 1, op
    channels = _EMULATED_CHANNELS * fusion(pair)
    dense = Op(op.name, "conv", channels, channels, op.in_size_px, op.kernel, op.stride)
    return groups(op.in_channels, channels), dense
