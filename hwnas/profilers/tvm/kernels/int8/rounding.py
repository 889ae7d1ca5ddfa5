"""What 8-bit kernels do with their sums: the chain of roundings that the QDQ file asks for, fused.

A chain is a list of steps. Each has a few numbers, which kernels take as an argument, so that kernels
do not hang on scales, and goes on from a value. Tensors are named within their layer, "" is its input.

Rounding: a float32 as large as 1.5 * 2**23 has no bits below one, so adding that much rounds half to
even, and the integer then stands in the lowest bits.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hwnas.profilers.onnx.quantizer import ActivationQuantizer
from hwnas.spaces import Op
from hwnas.spaces.layer import Activation

BIG = 1.5 * 2**23
_LEVELS = 255
_COUNTS = {"unit": 1, "round": 3, "value": 2, "bend": 0, "plus": 2}

Quantizers = Callable[[str], ActivationQuantizer]
Number = Callable[[int], Any]


@dataclass(frozen=True)
class Step:
    """One step of a chain.

    Attributes:
        kind: `unit` divides by the tensor's scale, `round` rounds to the tensor's levels, clipped
            as the activation clips, `value` turns what was rounded back into what it stands for,
            `bend` applies h_swish or h_sigmoid, `plus` adds an element of the tensor.
        tensor: whose quantizer says the numbers.
        activation: of `round` and `bend`.
    """

    kind: Literal["unit", "round", "value", "bend", "plus"]
    tensor: str = ""
    activation: Activation = "none"

    @property
    def count(self) -> int:
        """How many numbers it has."""
        return _COUNTS[self.kind]

    def numbers(self, of: Quantizers) -> list[float]:
        """Returns its numbers."""
        if self.kind == "bend":
            return []
        quantizer = of(self.tensor)
        zero, scale = quantizer.zero_point, quantizer.scale
        if self.kind == "unit":
            return [1 / scale]
        if self.kind == "value":
            return [BIG + zero, scale]
        if self.kind == "plus":
            return [zero, scale]
        low = zero if self.activation in ("relu", "relu6") else 0
        high = min(_LEVELS, zero + round(6 / scale)) if self.activation == "relu6" else _LEVELS
        return [BIG + zero, BIG + low, BIG + max(low, high)]

    def emit(self, value: Any, at: Sequence[Any], other: Any) -> Any:
        """Returns TVM's expression of what follows from `value`, with the numbers `at`."""
        from tvm import tirx

        if self.kind == "unit":
            return value * at[0]
        if self.kind == "value":
            return (value - at[0]) * at[1]
        if self.kind == "plus":
            return value + (other - at[0]) * at[1]
        if self.kind == "round":
            return tirx.min(tirx.max(value + at[0], at[1]), at[2])
        sixth, half, zero, one = (tirx.const(number, "float32") for number in (1 / 6, 0.5, 0, 1))
        gate = tirx.min(tirx.max(value * sixth + half, zero), one)
        return value * gate if self.activation == "h_swish" else gate


TO_LEVELS = (Step("unit"), Step("round"))
"""The chain that rounds a float32 to the levels of the layer's input."""


def rounded(op: Op) -> list[Step]:
    """Returns how the result of an operation, in units of its first tensor's scale, is rounded."""
    if op.activation not in ("h_swish", "h_sigmoid"):
        return [Step("round", op.name, op.activation)]
    before = first_tensor(op)
    bent = [Step("round", before), Step("value", before), Step("bend", activation=op.activation)]
    return [*bent, Step("unit", op.name), Step("round", op.name)]


def first_tensor(op: Op) -> str:
    """Returns the tensor that an operation's result is rounded to first."""
    return f"{op.name}.pre" if op.activation in ("h_swish", "h_sigmoid") else op.name


def chain_of(op: Op, add: Op | None) -> list[Step]:
    """Returns the chain after a convolution's sums, those of a residual sum included."""
    if add is None:
        return rounded(op)
    summed = [Step("value", op.name), Step("plus", add.inputs[1]), Step("unit", first_tensor(add))]
    return [*rounded(op), *summed, *rounded(add)]


def emit_chain(steps: Sequence[Step], value: Any, number: Number, other: Any = None) -> Any:
    """Returns TVM's expression of the uint8 at the end of a chain.

    Args:
        steps: of the chain; the last one rounds.
        value: float32, in units of the scale of the first tensor.
        number: gives the chain's number i.
        other: the element that `plus` adds, float32.
    """
    from tvm import tirx

    return tirx.Cast("uint8", tirx.reinterpret("int32", emit_steps(steps, value, number, other)))


def emit_steps(steps: Sequence[Step], value: Any, number: Number, other: Any = None) -> Any:
    """Returns TVM's expression of the float32 at the end of a chain: `BIG` and the level, if it rounds."""
    used = 0
    for step in steps:
        value = step.emit(value, [number(used + i) for i in range(step.count)], other)
        used += step.count
    return value


def chain_numbers(steps: Sequence[Step], of: Quantizers) -> list[float]:
    """Returns the numbers of all steps of a chain, in order."""
    return [number for step in steps for number in step.numbers(of)]


def count_numbers(steps: Sequence[Step]) -> int:
    """Returns how many numbers a chain has."""
    return sum(step.count for step in steps)
