"""A cycle model of AMD's DPUCZDX8G, the int8 neural network core of Zynq UltraScale+ boards.

The core runs one operation after the other: convolutions on an array of pixel x input x output
channels, everything else (depthwise, pooling, adding, multiplying) on a narrower ALU. An operation
takes as long as its cycles or its memory traffic, whichever is longer, and a fixed start. A depthwise
convolution runs beside the convolution that reads it, as far as `depthwise_overlap` says. Batch
normalisation and ReLU or ReLU6 come free with the operation before them, a residual sum included.

Modelled but on thin evidence: h_swish (hard sigmoid, then a multiplication) and the gates of
squeeze-and-excitation, which run as ALU passes several times dearer than a plain one. Not modelled: the
time of the ARM cores before and after the network.

Source: AMD PG338 v4.1 for the array and its limits; the overlap is ours: without it no constants fit
MobileNetV1 and V2 together (see docs/benchmarks.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal, final

from pydantic import Field, model_validator

from hwnas.errors import unknown_name
from hwnas.profilers.accelerators.accelerator import (
    Accelerator,
    Count,
    NotNegative,
    Overhead,
    Positive,
    Price,
    groups,
)
from hwnas.profilers.accelerators.shipped import shipped_fields
from hwnas.spaces import Op, Pair
from hwnas.spaces.mobilenet_recipe import refused, shown

BITS = 8
# Pixels, channels, and pixels of the ALU that are taken in a cycle.
SIZES = {
    "B512": (4, 8, 2),
    "B800": (4, 10, 2),
    "B1024": (8, 8, 4),
    "B1152": (4, 12, 2),
    "B1600": (8, 10, 4),
    "B2304": (8, 12, 4),
    "B3136": (8, 14, 4),
    "B4096": (8, 16, 4),
}
_SIZED = ("pixel_parallel", "channel_parallel", "alu_parallel")
BOARDS = ("kv260", "ultra96", "zcu102", "zcu104")
_CONV_KERNELS, _CONV_STRIDES, _POOL_KERNELS = 16, 8, 256
# The width of the field that counts groups of channels in an instruction.
_CHANNEL_GROUPS = 256

Engine = Literal["conv", "alu"]
Share = Annotated[float, Field(gt=0, le=1)]


@final
class Dpu(Accelerator):
    """One DPU on one board.

    A file may give the `board` instead of fields that are as on that board, and the `size` instead of
    the first three; one that says nothing of the array is about ZCU102's.

    Attributes:
        pixel_parallel, channel_parallel: pixels, and input as well as output channels, that the
            convolution array takes in a cycle.
        alu_parallel: pixels that the ALU takes in a cycle, of `channel_parallel` channels.
        bank_depth, feature_map_groups: size of the on-chip memory, in words of a bank and in groups
            of `pixel_parallel` banks.
        cores, busy_cores: how many there are, and how many work while one is looked at.
        bandwidth_gb_per_s: of external memory while one core runs; times `contention` while all do.
        conv_overhead, alu_overhead: real cycles for each modelled one.
        depthwise_overlap: how much of the shorter of a depthwise convolution and the convolution that
            reads it is hidden behind the longer.
        op_overhead_us: the start of an operation.
        slow_pass_factor: how much dearer a pass of hard sigmoid or gating is than a plain one.
        busy_power_w: of the whole board with one core at work; None where unknown.
    """

    runtime: Literal["dpu"]
    pixel_parallel: Count
    channel_parallel: Count
    alu_parallel: Count
    bank_depth: Count
    feature_map_groups: Count
    cores: Count = 1
    busy_cores: Count = 1
    bandwidth_gb_per_s: Positive
    contention: Share = 1.0
    conv_overhead: Overhead = 1.0
    alu_overhead: Overhead = 1.0
    depthwise_overlap: Annotated[float, Field(ge=0, le=1)] = 0.0
    op_overhead_us: NotNegative = 0.0
    slow_pass_factor: Overhead = 1.0
    busy_power_w: Positive | None = None

    @model_validator(mode="before")
    @classmethod
    def _filled(cls, value: Any) -> Any:
        """The fields of the board and of the size, where those are named."""
        if not isinstance(value, dict):
            return value
        fields = dict(value)
        size = fields.pop("size", None)
        # What says nothing of the array is about ZCU102's.
        default = None if size or "pixel_parallel" in fields else "zcu102"
        board = fields.pop("board", default)
        for field, one, known in (("board", board, BOARDS), ("size", size, tuple(SIZES))):
            if one is not None and one not in known:
                raise refused(f"must be one of {', '.join(known)}, but got {shown(one)}", field)
        base = {} if board is None else {**shipped_fields(f"fpga-{board}-dpu"), "sources": {}}
        size = size or base.get("size")
        base.pop("size", None)
        sized = dict(zip(_SIZED, SIZES[size], strict=True)) if size else {}
        return {**base, **sized, **fields}

    @model_validator(mode="after")
    def _has_the_cores(self) -> "Dpu":
        if self.busy_cores not in (1, self.cores):
            raise refused(f"must be 1 or all {self.cores} cores, but got {self.busy_cores}", "busy_cores")
        return self

    @property
    def size(self) -> str:
        """Such as `B4096`, after the operations (two a MAC) of the convolution array in a cycle."""
        return f"B{2 * self.pixel_parallel * self.channel_parallel**2}"

    @property
    def title(self) -> str:
        """The size and clock."""
        busy = f", {self.busy_cores} cores busy" if self.busy_cores > 1 else ""
        return f"DPUCZDX8G {self.size} at {self.clock_mhz:g} MHz{busy}, cycle model"

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """8 bits alone."""
        return ((BITS, BITS),)

    @property
    def energy_boundary(self) -> str:
        """The board."""
        return "the whole board, at the power it takes with one core busy"

    @property
    def feature_map_bytes(self) -> int:
        """On-chip memory for feature maps: an operation whose maps fit moves none of them."""
        return self.feature_map_groups * self.pixel_parallel * self.bank_depth * self.channel_parallel

    @property
    def shared_bandwidth_gb_per_s(self) -> float:
        """The bandwidth of a core, with as many busy as are."""
        return self.bandwidth_gb_per_s * (self.contention if self.busy_cores > 1 else 1.0)

    def op_refusal(self, op: Op) -> str | None:
        """Returns which limit of the core an operation exceeds; None if none."""
        most = _CHANNEL_GROUPS * self.channel_parallel
        if max(op.in_channels, op.out_channels) > most:
            return f"at most {most} channels, but got {max(op.in_channels, op.out_channels)}"
        if op.kind in ("pool", "max_pool", "average_pool"):
            window = op.in_size_px if op.kind == "pool" else op.kernel
            return (
                f"pools of at most {_POOL_KERNELS} px, but got {window}" if window > _POOL_KERNELS else None
            )
        if op.kernel > _CONV_KERNELS or op.stride > _CONV_STRIDES:
            return (
                f"kernels up to {_CONV_KERNELS} and strides up to {_CONV_STRIDES}, "
                f"but got {op.kernel} and {op.stride}"
            )
        words = op.kernel**2 * groups(op.in_channels, self.channel_parallel)
        if op.kind in ("conv", "linear") and words > self.bank_depth:
            return (
                f"kernel area x groups of {self.channel_parallel} input channels at most "
                f"{self.bank_depth}, but got {words}"
            )
        return None

    def op_prices(self, ops: Sequence[Op], pair: Pair) -> list[Price]:
        """Returns the time of each operation, and the board's power over it."""
        times = _times_ms(ops, self)
        return [Price.at_power(ms, self.busy_power_w) for ms in times]


@dataclass(frozen=True)
class OpCost:
    """What one operation, or one pass that follows it, asks of a core."""

    engine: Engine
    cycles: int
    bytes: int

    def working_us(self, dpu: Dpu) -> float:
        """Returns the longer of computing and moving, without the start."""
        overhead = dpu.conv_overhead if self.engine == "conv" else dpu.alu_overhead
        computing = self.cycles * overhead / dpu.clock_mhz
        return max(computing, self.bytes / (dpu.shared_bandwidth_gb_per_s * 1e3))


def get_dpu(board: str) -> Dpu:
    """Returns the DPU of a board as its maker ships it.

    Raises:
        InputError: no such board (with the nearest name).
    """
    if board not in BOARDS:
        raise unknown_name("DPU board", board, BOARDS)
    return Dpu.model_validate(shipped_fields(f"fpga-{board}-dpu"))


def latency_ms(ops: Sequence[Op], dpu: Dpu) -> float:
    """Returns the time of one image through operations that run one after the other on one core."""
    return sum(_times_ms(ops, dpu))


def op_costs(op: Op, dpu: Dpu) -> list[OpCost]:
    """Returns what an operation costs, and the passes of its activation where those are not fused."""
    costs = [_conv_cost(op, dpu) if op.kind in ("conv", "linear") else _alu_cost(op, dpu)]
    out = op.out_channels * op.out_size_px**2
    cycles = round(_plane_cycles(op, dpu) * dpu.slow_pass_factor)
    if op.activation in ("h_swish", "h_sigmoid"):
        costs.append(OpCost("alu", cycles, _moved(2 * out, dpu)))
    if op.activation == "h_swish":
        costs.append(OpCost("alu", cycles, _moved(3 * out, dpu)))
    return costs


def _times_ms(ops: Sequence[Op], dpu: Dpu) -> list[float]:
    """The time of each operation; what is hidden behind a depthwise convolution's reader is taken off it."""
    costs = [op_costs(op, dpu) for op in ops]
    times = [sum(one.working_us(dpu) + dpu.op_overhead_us for one in of) for of in costs]
    for index, (op, after) in enumerate(pairwise(ops)):
        if op.kind == "depthwise" and after.kind == "conv" and len(costs[index]) == 1:
            shorter = min(costs[index][0].working_us(dpu), costs[index + 1][0].working_us(dpu))
            times[index] -= dpu.depthwise_overlap * shorter
    return [time / 1e3 for time in times]


def _conv_cost(op: Op, dpu: Dpu) -> OpCost:
    pixels, channels = dpu.pixel_parallel, dpu.channel_parallel
    size, kernel = op.out_size_px, op.kernel
    taps = groups(op.in_channels, channels) * kernel**2
    if op.in_channels < channels and kernel > 1:
        # Channel augmentation: the taps of a kernel row fill the unused input channels.
        taps = groups(op.in_channels * kernel, channels) * kernel
    cycles = groups(size, pixels) * size * groups(op.out_channels, channels) * taps
    return OpCost("conv", cycles, _traffic(op, dpu))


def _alu_cost(op: Op, dpu: Dpu) -> OpCost:
    cycles = _plane_cycles(op, dpu)
    if op.kind == "pool":
        cycles *= op.in_size_px**2
    elif op.kind in ("depthwise", "max_pool", "average_pool"):
        cycles *= op.kernel**2
    elif op.kind == "scale":
        cycles = round(cycles * dpu.slow_pass_factor)
    return OpCost("alu", cycles, _traffic(op, dpu))


def _plane_cycles(op: Op, dpu: Dpu) -> int:
    """Cycles of one pass of the ALU over the output map."""
    return groups(op.out_size_px**2, dpu.alu_parallel) * groups(op.out_channels, dpu.channel_parallel)


def _traffic(op: Op, dpu: Dpu) -> int:
    parameters = op.weights + 4 * op.out_channels if op.weights else 0
    return parameters + _moved(op.map_elements, dpu)


def _moved(map_bytes: int, dpu: Dpu) -> int:
    return 0 if map_bytes <= dpu.feature_map_bytes else map_bytes
