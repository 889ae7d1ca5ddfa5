"""A cycle model of AMD's DPUCZDX8G, the int8 neural network core of Zynq UltraScale+ boards.

The core runs one operation after the other: convolutions on an array of pixel x input x output
channels, everything else (depthwise, pooling, adding, multiplying) on a narrower ALU. An operation
takes as long as its cycles or its memory traffic, whichever is longer, and a fixed start. Batch
normalisation and ReLU or ReLU6 come free with the operation before them, a residual sum included.

Modelled but on thin evidence: h_swish (hard sigmoid, then a multiplication) and the gates of
squeeze-and-excitation, which run as ALU passes several times dearer than a plain one. Not modelled:
overlap of one operation with the next, the time of the ARM cores before and after the network, and
operations that fall back to them (they are refused).

Source: AMD PG338 v4.1 for the array and its limits; `dpuczdx8g.json` says where each constant is from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hwnas.errors import InputError, unknown_name
from hwnas.files import read_json
from hwnas.spaces import Layer, Op

BITS = 8
_DATA = "dpuczdx8g.json"
_CONV_KERNELS, _CONV_STRIDES, _POOL_KERNELS = 16, 8, 256
# The width of the field that counts groups of channels in an instruction.
_CHANNEL_GROUPS = 256

Engine = Literal["conv", "alu"]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Positive = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Overhead = Annotated[float, Field(ge=1, le=100, allow_inf_nan=False)]


class Accelerator(BaseModel):
    """One DPU on one board; the fields are those of a description file.

    Attributes:
        pixel_parallel, channel_parallel: pixels, and input as well as output channels, that the
            convolution array takes in a cycle.
        alu_parallel: pixels that the ALU takes in a cycle, of `channel_parallel` channels.
        bank_depth, feature_map_groups: size of the on-chip memory, in words of a bank and in groups
            of `pixel_parallel` banks.
        bandwidth_gb_per_s: of external memory while one core runs; times `contention` while all do.
        conv_overhead, alu_overhead: real cycles for each modelled one.
        op_overhead_us: the start of an operation.
        slow_pass_factor: how much dearer a pass of hard sigmoid or gating is than a plain one.
        busy_power_w: of the whole board with one core at work; None where unknown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=100)]
    pixel_parallel: Count
    channel_parallel: Count
    alu_parallel: Count
    bank_depth: Count
    feature_map_groups: Count
    clock_mhz: Positive
    cores: Count = 1
    bandwidth_gb_per_s: Positive
    contention: Annotated[float, Field(gt=0, le=1)] = 1.0
    conv_overhead: Overhead = 1.0
    alu_overhead: Overhead = 1.0
    op_overhead_us: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] = 0.0
    slow_pass_factor: Overhead = 1.0
    busy_power_w: Positive | None = None

    @property
    def feature_map_bytes(self) -> int:
        """On-chip memory for feature maps: an operation whose maps fit moves none of them."""
        return self.feature_map_groups * self.pixel_parallel * self.bank_depth * self.channel_parallel

    @property
    def peak_ops_per_cycle(self) -> int:
        """Operations (two a MAC) of the convolution array in a cycle: the figure in a size's name."""
        return 2 * self.pixel_parallel * self.channel_parallel**2

    def with_all_cores_busy(self) -> "Accelerator":
        """Returns one core of this board while every other core works as well."""
        return self.model_copy(update={"bandwidth_gb_per_s": self.bandwidth_gb_per_s * self.contention})


@dataclass(frozen=True)
class OpCost:
    """What one operation, or one pass that follows it, asks of a core."""

    engine: Engine
    cycles: int
    bytes: int

    def latency_us(self, accelerator: Accelerator) -> float:
        """Returns the longer of computing and moving, and the fixed start."""
        overhead = accelerator.conv_overhead if self.engine == "conv" else accelerator.alu_overhead
        computing = self.cycles * overhead / accelerator.clock_mhz
        moving = self.bytes / (accelerator.bandwidth_gb_per_s * 1e3)
        return max(computing, moving) + accelerator.op_overhead_us


def board_names() -> list[str]:
    """Returns the boards that `get_accelerator` knows."""
    return sorted(_data()["boards"])


def get_accelerator(board: str) -> Accelerator:
    """Returns the DPU of a board as its maker ships it.

    Raises:
        InputError: no such board (with the nearest name).
    """
    data = _data()
    if board not in data["boards"]:
        raise unknown_name("DPU board", board, data["boards"])
    fields = dict(data["boards"][board])
    architecture = fields.pop("architecture")
    return Accelerator(
        name=f"DPUCZDX8G {architecture} on {board}",
        **data["architectures"][architecture],
        **data["model"],
        **fields,
    )


def architecture_names() -> list[str]:
    """Returns the sizes that the DPU comes in, such as `B4096`."""
    return sorted(_data()["architectures"])


def with_architecture(accelerator: Accelerator, architecture: str) -> Accelerator:
    """Returns the accelerator with a DPU of another size in its place, all else equal.

    Raises:
        InputError: no such size (with the nearest name).
    """
    sizes = _data()["architectures"]
    if architecture not in sizes:
        raise unknown_name("DPU architecture", architecture, sizes)
    return accelerator.model_copy(
        update={**sizes[architecture], "name": f"{accelerator.name} as {architecture}"}
    )


def read_accelerator(path: Path) -> Accelerator:
    """Returns the accelerator that a JSON file describes: an object with the fields of `Accelerator`.

    Raises:
        InputError: the file cannot be read, or a field is missing, unknown or out of range.
    """
    value = read_json(path, "accelerator description")
    try:
        return Accelerator.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise InputError(f"accelerator description {path}: {where}: {first['msg']}{more}") from error


def layer_latency_ms(layer: Layer, accelerator: Accelerator) -> float:
    """Returns the time of one image through a layer on one core."""
    return latency_ms(layer.ops, accelerator)


def latency_ms(ops: Sequence[Op], accelerator: Accelerator) -> float:
    """Returns the time of one image through operations that run one after the other on one core."""
    costs = [cost for op in ops for cost in op_costs(op, accelerator)]
    return sum(cost.latency_us(accelerator) for cost in costs) / 1e3


def energy_mj(latency_ms: float, accelerator: Accelerator) -> float | None:
    """Returns the modelled energy of the whole board over a time; None where its power is unknown.

    At a fixed precision the power hardly depends on the network, so this ranks as latency does.
    """
    return None if accelerator.busy_power_w is None else accelerator.busy_power_w * latency_ms


def op_costs(op: Op, accelerator: Accelerator) -> list[OpCost]:
    """Returns what an operation costs, and the passes of its activation where those are not fused."""
    costs = [_conv_cost(op, accelerator) if op.kind in ("conv", "linear") else _alu_cost(op, accelerator)]
    out = op.out_channels * op.out_size_px**2
    cycles = round(_plane_cycles(op, accelerator) * accelerator.slow_pass_factor)
    if op.activation in ("h_swish", "h_sigmoid"):
        costs.append(OpCost("alu", cycles, _moved(2 * out, accelerator)))
    if op.activation == "h_swish":
        costs.append(OpCost("alu", cycles, _moved(3 * out, accelerator)))
    return costs


def refusal(layer: Layer, accelerator: Accelerator) -> str | None:
    """Returns why the DPU cannot run a layer at 8 bits; None if it can.

    What it cannot run would fall back to the ARM cores, at a hundred times the cost.
    """
    if layer.quantizable and (layer.weight_bits, layer.activation_bits) != (BITS, BITS):
        return (
            f"the DPU runs {BITS} bits only, but the layer has {layer.weight_bits}-bit weights and "
            f"{layer.activation_bits}-bit activations"
        )
    for op in layer.ops:
        reason = _op_refusal(op, accelerator)
        if reason:
            return f"{op.name}: {reason}"
    return None


def _conv_cost(op: Op, accelerator: Accelerator) -> OpCost:
    pixels, channels = accelerator.pixel_parallel, accelerator.channel_parallel
    size, kernel = op.out_size_px, op.kernel
    taps = _groups(op.in_channels, channels) * kernel**2
    if op.in_channels < channels and kernel > 1:
        # Channel augmentation: the taps of a kernel row fill the unused input channels.
        taps = _groups(op.in_channels * kernel, channels) * kernel
    cycles = _groups(size, pixels) * size * _groups(op.out_channels, channels) * taps
    return OpCost("conv", cycles, _traffic(op, accelerator))


def _alu_cost(op: Op, accelerator: Accelerator) -> OpCost:
    cycles = _plane_cycles(op, accelerator)
    if op.kind == "pool":
        cycles *= op.in_size_px**2
    elif op.kind in ("depthwise", "max_pool", "average_pool"):
        cycles *= op.kernel**2
    elif op.kind == "scale":
        cycles = round(cycles * accelerator.slow_pass_factor)
    return OpCost("alu", cycles, _traffic(op, accelerator))


def _plane_cycles(op: Op, accelerator: Accelerator) -> int:
    """Cycles of one pass of the ALU over the output map."""
    pixels = _groups(op.out_size_px**2, accelerator.alu_parallel)
    return pixels * _groups(op.out_channels, accelerator.channel_parallel)


def _traffic(op: Op, accelerator: Accelerator) -> int:
    maps = op.in_channels * op.in_size_px**2 * (2 if op.kind == "add" else 1)
    parameters = op.weights + 4 * op.out_channels if op.weights else 0
    return parameters + _moved(maps + op.out_channels * op.out_size_px**2, accelerator)


def _moved(map_bytes: int, accelerator: Accelerator) -> int:
    return 0 if map_bytes <= accelerator.feature_map_bytes else map_bytes


def _op_refusal(op: Op, accelerator: Accelerator) -> str | None:
    most = _CHANNEL_GROUPS * accelerator.channel_parallel
    if max(op.in_channels, op.out_channels) > most:
        return f"at most {most} channels, but got {max(op.in_channels, op.out_channels)}"
    if op.kind in ("pool", "max_pool", "average_pool"):
        window = op.in_size_px if op.kind == "pool" else op.kernel
        return f"pools of at most {_POOL_KERNELS} px, but got {window}" if window > _POOL_KERNELS else None
    if op.kernel > _CONV_KERNELS or op.stride > _CONV_STRIDES:
        return (
            f"kernels up to {_CONV_KERNELS} and strides up to {_CONV_STRIDES}, "
            f"but got {op.kernel} and {op.stride}"
        )
    words = op.kernel**2 * _groups(op.in_channels, accelerator.channel_parallel)
    if op.kind in ("conv", "linear") and words > accelerator.bank_depth:
        return (
            f"kernel area x groups of {accelerator.channel_parallel} input channels at most "
            f"{accelerator.bank_depth}, but got {words}"
        )
    return None


def _groups(count: int, size: int) -> int:
    return -(-count // size)


def _data() -> dict[str, Any]:
    return dict(read_json(Path(str(files("hwnas.profilers") / _DATA)), "DPU description"))
