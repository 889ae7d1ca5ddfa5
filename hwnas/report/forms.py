"""What the files of a run folder hold: the parts that a report reads, with the bounds that they keep."""

import math
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

# Beyond this no figure of a network is real, and axes overflow.
LARGE = 1e15


def _number(value: Any) -> Any:
    if isinstance(value, bool | str):
        raise ValueError("must be a number")
    return value


Finite = Annotated[float, BeforeValidator(_number), Field(ge=-LARGE, le=LARGE)]
Positive = Annotated[float, BeforeValidator(_number), Field(ge=1 / LARGE, le=LARGE)]
Amount = Annotated[int, Field(ge=0, le=10**18)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Figure(_Part):
    """A figure with where it comes from: `measured`, `predicted` or `simulated`, and its interval."""

    value: Finite
    kind: str = "measured"
    split: str | None = None
    low: Finite | None = None
    high: Finite | None = None
    p95: Finite | None = None
    predicted: Finite | None = None

    @property
    def ends(self) -> tuple[float, float] | None:
        """The interval, where there is one."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    def interval(self, digits: int | None = 2) -> str:
        """Returns `± W`, or both ends where it is lopsided; empty without an interval or without width.

        Args:
            digits: after the point; None for two that matter.
        """
        if self.ends is None or self.ends[0] >= self.ends[1]:
            return ""
        low, high = self.ends
        below, above = self.value - low, high - self.value
        half = (below + above) / 2
        lopsided = abs(below - above) > 0.2 * max(below, above)
        if digits is None:
            digits = min(9, max(0, 1 - math.floor(math.log10(high - low if lopsided else half))))
        return f"{low:.{digits}f} to {high:.{digits}f}" if lopsided else f"± {half:.{digits}f}"


class Latency(Figure):
    """A latency in ms."""

    value: Positive


class Bits(_Part):
    """Weight and activation bits, one for each layer with weights."""

    weights: list[int]
    activations: list[int]


class Model(_Part):
    """One member of the front."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$")]
    architecture: dict[str, Any]
    bits: Bits | None = None
    accuracy_top1: Figure
    accuracy_top1_test: Figure | None = None
    latency_ms: Annotated[dict[str, Latency], Field(min_length=1)]
    deploy_on: str | None = None
    energy_mj: Figure | dict[str, Figure] | None = None
    size_bytes: Amount | None = None
    macs: Amount | None = None
    params: Amount | None = None
    bitops: Amount | None = None
    peak_memory_bytes: Amount | None = None

    @property
    def device(self) -> str:
        """The device to deploy on; the first that it was measured on where none is named."""
        return self.deploy_on if self.deploy_on in self.latency_ms else next(iter(self.latency_ms))

    @property
    def latency(self) -> Latency:
        """The latency on the device to deploy on."""
        return self.latency_ms[self.device]

    @property
    def energy(self) -> Figure | None:
        """The energy in mJ on the device to deploy on, where it is known."""
        return self.energy_mj.get(self.device) if isinstance(self.energy_mj, dict) else self.energy_mj

    @property
    def energy_value_mj(self) -> float | None:
        """The figure of `energy`."""
        return self.energy.value if self.energy else None

    def bound_ms(self, device: str) -> float | None:
        """Returns what a target is held against on a device: the p95, the latency where there is none."""
        latency = self.latency_ms.get(device)
        return None if latency is None else latency.value if latency.p95 is None else latency.p95

    @property
    def quantized_share(self) -> float:
        """The share of layers with weights that run below floating point, from 0 to 1."""
        if self.bits is None or not self.bits.weights:
            return 0.0
        pairs = list(zip(self.bits.weights, self.bits.activations, strict=False))
        return sum(min(pair) < 32 for pair in pairs) / len(pairs)


class Dropped(_Part):
    """A model that was exported and then left out."""

    id: str
    device: str = ""
    reason: str = ""


class Worst(_Part):
    """A model with the most points of accuracy that it gives away on any device."""

    id: str
    worst_regret_points: Finite


class Fleet(_Part):
    """One model for all devices.

    Attributes:
        id: None where no model keeps every target.
        regret_points: what it gives away by device (or devices joined by `+`) against the best there.
        deploy_on: the device of each group to run it on.
        carried_over: the best of each group on all the others; None where it misses a target.
    """

    id: str | None = None
    regret_points: dict[str, Finite] = {}
    deploy_on: dict[str, str] = {}
    carried_over: dict[str, Worst | None] = {}


class Front(_Part):
    """front.json.

    Attributes:
        fronts: the ids on the front of each device, of devices that compete joined by `+`.
        certificate: by device, the found share of the exact front's hypervolume on the predictors.
    """

    space: str
    devices: list[str] | dict[str, Any]
    objectives: Any = None
    reference_point: Any = None
    hypervolume: Finite | dict[str, Finite] | None = None
    target_latency_ms: Positive | dict[str, Positive] | None = None
    candidates: list[Model]
    dropped: list[Dropped] = []
    fronts: dict[str, list[str]] = {}
    fleet: Fleet | None = None
    certificate: dict[str, Finite] = {}

    @property
    def device_names(self) -> list[str]:
        """The devices in their order, those that only a candidate names at the end."""
        used = [device for model in self.candidates for device in model.latency_ms]
        return list(dict.fromkeys([*self.devices, *used]))

    def is_for(self, model: Model, device: str) -> bool:
        """Returns whether a model is on the front of a device: of its own, or the one to deploy on."""
        return device == model.device or model.id in self.fronts.get(device, ())

    def target_ms(self, device: str) -> float | None:
        """Returns the target of a device in ms, if there is one."""
        if isinstance(self.target_latency_ms, dict):
            return self.target_latency_ms.get(device)
        return self.target_latency_ms


class Baseline(_Part):
    """Networks that are easy to have, beside what was found, on the test split.

    Attributes:
        mean_points: how much more accurate found models are that are no slower, in points; None
            where nothing could be compared.
        compared, better: networks compared, and those that the found model beats.
        points: latency in ms and accuracy in percent of each network, where they are given.
    """

    mean_points: Finite | None
    standard_error: Finite | None = None
    compared: Amount = 0
    better: Amount = 0
    points: list[tuple[Positive, Finite]] = []


class Scored(_Part):
    """A predictor with its figures on held-out architectures.

    Attributes:
        pairs: measured and predicted of the held-out architectures.
        verified: measured, and predicted before that, of what the search proposed.
    """

    model: str | None = None
    score: dict[str, float | int | None] = {}
    pairs: list[tuple[Finite, Finite]] = []
    verified: list[tuple[Finite, Finite]] = []


@dataclass(frozen=True)
class Convergence:
    """One row of convergence.csv.

    Attributes:
        stage: `proposed` is what predictors expect, `measured` what turned out.
        device: searched, or several joined by `+`; empty where one front is for all.
    """

    evaluations: int
    hypervolume: float
    stage: str
    device: str
    round: int
    generation: int
