"""Where the time of a network goes: what its parts take, put together by the kinds people know."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hwnas.files import temporary_folder
from hwnas.profilers.device import Device
from hwnas.profilers.measuring.protocol import Protocol
from hwnas.profilers.onnx.model import OUTPUT
from hwnas.spaces import Layer, Op, random_network

CONVERSIONS = "conversions"
OVERHEAD = "runtime overhead"
_CONVERSION = re.compile(r"\.(q|q_narrow|dq)$")
_OP_KINDS = {
    "depthwise": "depthwise conv",
    "max_pool": "pool",
    "average_pool": "pool",
    "pool": "pool",
    "scale": "SE",
    "add": "add",
    "linear": "linear",
}
# Whole blocks, for devices that know no operations inside them.
_LAYER_KINDS = {
    "residual_conv": "dense conv",
    "mbconv": "inverted bottlenecks",
    "bottleneck": "bottlenecks",
    "max_pool": "pool",
    "pool": "pool",
    "linear": "linear",
}


@dataclass(frozen=True)
class Share:
    """What all parts of one kind take of a network's time."""

    kind: str
    ms: float
    percent: float


@dataclass(frozen=True)
class Breakdown:
    """Where the time of a network goes.

    Attributes:
        shares: the largest first, and the runtime's overhead last; together they are the whole.
        whole_ms: of a call, measured together with the parts.
        telling_ms: what telling its time cost each part, which was taken off.
    """

    shares: tuple[Share, ...]
    whole_ms: float
    telling_ms: float

    def to_json(self) -> dict[str, Any]:
        """Returns the fields as a JSON object."""
        return asdict(self) | {"shares": [asdict(one) for one in self.shares]}


def breakdown(device: Device, layers: Sequence[Layer]) -> Breakdown | None:
    """Returns where the time of a network goes on a device; None where the device cannot tell.

    Raises:
        InputError, UnavailableError, MeasurementError: as `Device.measure`.
    """
    with temporary_folder() as folder:
        artefact = device.build(random_network(layers), folder)
        with device.meter(Protocol()) as meter:
            found = meter.breakdown(artefact)
    return None if found is None else broken_down(layers, *found)


def broken_down(layers: Sequence[Layer], parts: Mapping[str, float], whole_ms: float) -> Breakdown:
    """Returns the share of each kind of layer in a network's time.

    Kinds are `first conv`, `pointwise conv`, `dense conv`, `depthwise conv`, `SE` (all of squeeze-
    and-excitation), `add`, `pool`, `linear`; whole blocks where a device tells no operations;
    `conversions` for what the runtime puts between operations; and `runtime overhead`, the whole
    less its parts. Where the parts add up to more than the whole, it was asking that took time: the
    same is taken off each, though none falls below zero, so that they add up to the whole.

    Args:
        layers: the chain, named.
        parts: ms by name. A name begins with the `LAYER.OP` that it belongs to (operations fused
            into another go under that one's name) or is a `LAYER`; any other is a conversion, and
            so is what quantizes (`.q`) or dequantizes (`.dq`) a tensor.
        whole_ms: of a whole call, nobody asking.
    """
    kinds = {layer.name: _layer_kind(layer, index == 0) for index, layer in enumerate(layers)}
    kinds |= {
        f"{layer.name}.{op.name}": _kind(op, index == 0)
        for index, layer in enumerate(layers)
        for op in layer.ops
    }
    if layers[-1].kind == "linear":
        kinds[OUTPUT] = "linear"  # named after what it makes
    telling_ms = _excess(list(parts.values()), whole_ms)
    sums: dict[str, float] = {}
    for name, ms in parts.items():
        kind = CONVERSIONS if _CONVERSION.search(name) else kinds.get(_owner(name, kinds), CONVERSIONS)
        sums[kind] = sums.get(kind, 0.0) + max(0.0, ms - telling_ms)
    found = sorted(sums.items(), key=lambda one: -one[1])
    found.append((OVERHEAD, max(0.0, whole_ms - sum(sums.values()))))
    shares = tuple(Share(kind, ms, 100 * ms / whole_ms) for kind, ms in found)
    return Breakdown(shares, whole_ms, telling_ms)


def _excess(parts: Sequence[float], whole: float) -> float:
    """How much to take off each part, none below zero, for their sum to be the whole; 0 if it is less."""
    kept = sorted(parts, reverse=True)
    while sum(kept) > whole:
        off = (sum(kept) - whole) / len(kept)
        if kept[-1] >= off:
            return off
        kept.pop()
    return 0.0


def _owner(name: str, known: Mapping[str, str]) -> str:
    """The longest known name that a name begins with and that ends there or at a mark; "" for none."""
    ends = [len(name), *(match.start() for match in re.finditer(r"\W|_", name))]
    return max((name[:end] for end in ends if name[:end] in known), key=len, default="")


def _kind(op: Op, first: bool) -> str:
    if op.name.startswith("se_"):
        return "SE"
    if op.kind != "conv":
        return _OP_KINDS[op.kind]
    if first:
        return "first conv"
    return "pointwise conv" if op.kernel == 1 else "dense conv"


def _layer_kind(layer: Layer, first: bool) -> str:
    if layer.kind == "conv":
        return _kind(layer.ops[0], first)
    return _LAYER_KINDS[layer.kind]
