"""The contract of an accelerator model: a description, and what a layer costs on it."""

import hashlib
import json
import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, final, get_args

from pydantic import BeforeValidator, Field

from hwnas.profilers.description import DeviceFile, Section
from hwnas.spaces import FLOAT_BITS, Layer, Op, Pair
from hwnas.spaces.layer import Activation, OpKind
from hwnas.spaces.mobilenet_recipe import refused, shown

Count = Annotated[int, Field(ge=1, le=1_000_000)]
Positive = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Overhead = Annotated[float, Field(ge=1, le=100, allow_inf_nan=False)]
# What says nothing of how long a layer takes.
_WORDS = ("name", "runtime", "sources", "energy")
_LACKABLE = (*get_args(OpKind), *(one for one in get_args(Activation) if one not in ("none", "h_sigmoid")))


def _checked_lacks(value: Any) -> tuple[str, ...]:
    listed = value if isinstance(value, list | tuple) else [value]
    if any(one not in _LACKABLE for one in listed):
        raise refused(f"must be some of {', '.join(_LACKABLE)}, but got {shown(value)}")
    return tuple(dict.fromkeys(listed))


def _checked_widths(value: Any) -> tuple[int, ...]:
    listed = value if isinstance(value, list | tuple) else [value]
    if not listed or not all(type(one) is int and 2 <= one <= 8 for one in listed):
        raise refused(f"must be bits from 2 to 8, such as [8, 6, 4], but got {shown(value)}")
    return tuple(sorted(set(listed), reverse=True))


Lacks = Annotated[tuple[str, ...], BeforeValidator(_checked_lacks)]
Widths = Annotated[tuple[int, ...], BeforeValidator(_checked_widths)]


class Fallback(Section):
    """The processor beside an accelerator, which runs what that cannot.

    Attributes:
        processor: for people.
        gmacs_per_s: multiply-accumulates, in thousand millions; operations without any take their
            traffic alone.
        bandwidth_gb_per_s: of the maps that go there and back, and of weights.
        start_us: of each operation that is handed over.
        busy_power_w: what it takes; None where unknown, and then the network's energy is too.
    """

    processor: Annotated[str, Field(min_length=1, max_length=100)]
    gmacs_per_s: Positive
    bandwidth_gb_per_s: Positive
    start_us: NotNegative
    busy_power_w: NotNegative | None = None


@dataclass(frozen=True)
class Price:
    """What an operation costs; energy is None where it is unknown."""

    latency_ms: float
    energy_mj: float | None

    @staticmethod
    def at_power(latency_ms: float, power_w: float | None) -> "Price":
        """Returns the price of a time at a power; None where that is unknown."""
        return Price(latency_ms, None if power_w is None else power_w * latency_ms)


class Accelerator(DeviceFile):
    """One accelerator; the fields are those of its YAML file.

    Attributes:
        clock_mhz: of the array.
        lacks: kinds of operations and activations that it cannot run.
        fallback: who runs what it cannot; None for nobody, and layers that need it are refused.
        sources: where the figures are from, by field.
    """

    clock_mhz: Positive
    lacks: Lacks = ()
    fallback: Fallback | None = None
    sources: dict[str, str] = Field(default_factory=dict)

    @property
    @abstractmethod
    def title(self) -> str:
        """What it is, for people."""

    @property
    @abstractmethod
    def pairs(self) -> tuple[Pair, ...]:
        """The weight and activation bits that it runs, the widest first."""

    @property
    @abstractmethod
    def energy_boundary(self) -> str:
        """What its energies include, for people."""

    @abstractmethod
    def op_refusal(self, op: Op) -> str | None:
        """Returns why it cannot run an operation; None if it can. `lacks` is looked at elsewhere."""

    @abstractmethod
    def op_prices(self, ops: Sequence[Op], pair: Pair) -> list[Price]:
        """Returns what each operation costs, run one after the other: those that it can run.

        What follows another directly may overlap with it; the price is then what is left.
        """

    @final
    def refusal(self, layer: Layer) -> str | None:
        """Returns why there is no price for a layer: bits, or an operation that nobody can run."""
        if layer.quantizable and (layer.weight_bits, layer.activation_bits) not in self.pairs:
            runs = ", ".join(f"w{w}a{a}" for w, a in self.pairs)
            return (
                f"it runs {runs} bits only, but the layer has {layer.weight_bits}-bit weights and "
                f"{layer.activation_bits}-bit activations"
            )
        reasons = [] if self.fallback else [(op.name, self._cannot(op)) for op in layer.ops]
        return next((f"{name}: {reason}" for name, reason in reasons if reason), None)

    @final
    def prices(self, layer: Layer) -> dict[str, Price]:
        """Returns the price of each operation of a layer that is not refused, by name."""
        pair = (layer.weight_bits, layer.activation_bits)
        # A pool has no bits of its own; its maps have the widest there are.
        pair = self.pairs[0] if FLOAT_BITS in pair else pair
        away = [op for op in layer.ops if self._cannot(op)]
        here = [op for op in layer.ops if op not in away]
        found = dict(zip((op.name for op in here), self.op_prices(here, pair), strict=True))
        return {op.name: found.get(op.name) or self._price_away(op, pair) for op in layer.ops}

    @final
    def total(self, layer: Layer) -> Price:
        """Returns the price of a layer that is not refused; no energy where any part has none."""
        parts = list(self.prices(layer).values())
        energies = [part.energy_mj for part in parts]
        known = [energy for energy in energies if energy is not None]
        return Price(
            math.fsum(part.latency_ms for part in parts),
            math.fsum(known) if len(known) == len(energies) else None,
        )

    @final
    def runs_away(self, layer: Layer) -> list[str]:
        """Returns the operations of a layer that the fallback runs."""
        return [op.name for op in layer.ops if self._cannot(op)]

    @final
    def digest(self) -> str:
        """Returns a digest of every constant of the model."""
        text = json.dumps(self.model_dump(mode="json", exclude=set(_WORDS)), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _cannot(self, op: Op) -> str | None:
        for part in (op.kind, op.activation):
            if part in self.lacks or (part == "h_sigmoid" and "h_swish" in self.lacks):
                return f"it has no {part}"
        return self.op_refusal(op)

    def _price_away(self, op: Op, pair: Pair) -> Price:
        assert self.fallback is not None, "refused layers have no price"
        other = self.fallback
        maps = op.map_elements * pair[1] / 8
        moving_us = (maps + op.weights * pair[0] / 8) / (other.bandwidth_gb_per_s * 1e3)
        latency_ms = (other.start_us + max(op.macs / (other.gmacs_per_s * 1e3), moving_us)) / 1e3
        return Price(latency_ms, None if other.busy_power_w is None else other.busy_power_w * latency_ms)


def groups(count: int, size: int) -> int:
    """Returns how many groups of a size hold so many."""
    return -(-count // size)


def read_times(first_bits: int, second_bits: int, first_buffer: int, second_buffer: int) -> int:
    """Returns the least bits read for a product of two operands that may not fit their buffers.

    Where either fits, both are read once; else one is read again for each part of the other.
    """
    if first_bits <= first_buffer or second_bits <= second_buffer:
        return first_bits + second_bits
    return min(
        first_bits * groups(second_bits, second_buffer) + second_bits,
        first_bits + second_bits * groups(first_bits, first_buffer),
    )
