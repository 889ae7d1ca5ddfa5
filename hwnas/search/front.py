"""The front: mutually non-dominated candidates with their figures, and its file."""

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import InputError
from hwnas.files import checked, read_json, write_json, write_text
from hwnas.spaces import FLOAT_BITS

_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")
_OF_LATENCIES = ("p95", "kind")
# A figure with its kind and its interval, as front.json holds it: {"value", "kind", ...}.
Figure = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Member:
    """One model of a front.

    Attributes:
        id: the candidate's short name.
        deploy_on: the device on which it is on the front.
        architecture, bits: JSON forms.
        accuracy_top1: percent: value, kind, split, low, high (95 % for the sampling of images).
        accuracy_top1_test: the same on the test split, of the exported file; None before export.
        latency_ms: by device: value (median), kind, p95, low, high, predicted, verdict.
        energy_mj: a figure as the others, or None where nothing measures it.
    """

    id: str
    deploy_on: str
    architecture: Mapping[str, Any]
    bits: Mapping[str, Any]
    accuracy_top1: Figure
    latency_ms: Mapping[str, Figure]
    size_bytes: int
    macs: int
    params: int
    bitops: int
    peak_memory_bytes: int
    energy_mj: Figure | None = None
    accuracy_top1_test: Figure | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns the entry of `front.json`."""
        return {
            name: dict(value) if isinstance(value, Mapping) else value for name, value in vars(self).items()
        }

    @property
    def candidate_json(self) -> dict[str, Any]:
        """The candidate's JSON form: the architecture with its bits."""
        return {**self.architecture, "bits": dict(self.bits)}

    def objective(self, name: str) -> float:
        """Returns an objective on the device it is deployed on, minimised: accuracy is negative."""
        if name == "accuracy_top1":
            return -float(self.accuracy_top1["value"])
        if name == "latency_ms":
            return float(self.latency_ms[self.deploy_on]["value"])
        if name == "energy_mj":
            return math.nan if self.energy_mj is None else float(self.energy_mj["value"])
        return float(getattr(self, name))

    @property
    def quantized(self) -> bool:
        """Whether any layer is below floating point."""
        return any(b < FLOAT_BITS for b in [*self.bits["weights"], *self.bits["activations"]])


@dataclass(frozen=True, kw_only=True)
class Front:
    """What a search found.

    Attributes:
        devices: facts about each device by name: runtime, kind, fingerprint.
        target_latency_ms: what every member's p95 is within: one figure, one for each device where
            they differ, None without a limit.
        reference_point: one figure for each objective, which the hypervolume starts from.
        hypervolume: percent points times the units of the other objectives, dominated by members.
        members: fastest first, device by device.
        fronts: the ids on the front of each device, of devices that compete joined by `+`. A model
            may be on several; `deploy_on` of a member names one.
        limits: `energy_mj`, `size_bytes` and `peak_memory_bytes` that members keep.
        fleet: the one model for all devices, see `hwnas.search.fleet`; None for a single device.
        soft: alpha, beta, the target and the model of the highest reward; None for hard targets.
        certificate: by device, the found share of the exact front's hypervolume on the predictors;
            empty where they are not additive.
        dropped: models that were exported and then left out: id, device and reason.
    """

    space: str
    devices: Mapping[str, Mapping[str, Any]]
    target_latency_ms: float | Mapping[str, float] | None
    reference_point: Mapping[str, float]
    hypervolume: float
    members: tuple[Member, ...]
    objectives: tuple[str, ...] = ("accuracy_top1", "latency_ms")
    fronts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    fleet: Mapping[str, Any] | None = None
    soft: Mapping[str, Any] | None = None
    certificate: Mapping[str, float] = field(default_factory=dict)
    dropped: tuple[Mapping[str, Any], ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Returns the content of `front.json`."""
        return {
            "space": self.space,
            "devices": {name: dict(facts) for name, facts in self.devices.items()},
            "objectives": list(self.objectives),
            "target_latency_ms": dict(self.target_latency_ms)
            if isinstance(self.target_latency_ms, Mapping)
            else self.target_latency_ms,
            "limits": dict(self.limits),
            "fronts": {name: list(ids) for name, ids in self.fronts.items()},
            "fleet": self.fleet and dict(self.fleet),
            "soft": self.soft and dict(self.soft),
            "certificate": dict(self.certificate),
            "reference_point": dict(self.reference_point),
            "hypervolume": self.hypervolume,
            "candidates": [member.to_json() for member in self.members],
            "dropped": [dict(one) for one in self.dropped],
        }

    def settled(
        self, members: tuple[Member, ...], dropped: tuple[Mapping[str, Any], ...], hypervolume: float
    ) -> "Front":
        """Returns what is left of the front, and why the rest is not."""
        return replace(self.with_members(members), dropped=dropped, hypervolume=hypervolume)

    def with_members(self, members: tuple[Member, ...]) -> "Front":
        """Returns the front with other members; fronts keep those that are still there."""
        there = {member.id for member in members}
        fronts = {name: tuple(one for one in ids if one in there) for name, ids in self.fronts.items()}
        return replace(self, members=members, fronts=fronts)

    def target_on(self, device: str) -> float:
        """Returns the latency target on a device, ms; infinite without one, or with a soft one."""
        target = self.target_latency_ms
        if isinstance(target, Mapping):
            target = target.get(device)
        return math.inf if target is None or self.soft else float(target)

    def points(self, members: Sequence[Member]) -> NDArray[np.float64]:
        """Returns the objectives of members on their devices [n, m], all minimised."""
        rows = [[member.objective(name) for name in self.objectives] for member in members]
        return np.array(rows, dtype=np.float64).reshape(len(members), len(self.objectives))

    @property
    def reference(self) -> NDArray[np.float64]:
        """The reference point in the order of objectives [m], all minimised."""
        signs = [-1.0 if name == "accuracy_top1" else 1.0 for name in self.objectives]
        values = [self.reference_point[name] for name in self.objectives]
        point: NDArray[np.float64] = np.array(signs) * np.array(values)
        return point


def write_front(front: Front, folder: Path) -> None:
    """Writes `front.json` and `front.csv` into a run folder."""
    write_json(folder / "front.json", front.to_json())
    out = io.StringIO()
    names = ["id", "deploy_on", "accuracy_top1", "accuracy_top1_test", "latency_ms", "p95_ms", "kind"]
    names += ["energy_mj", "size_bytes", "macs", "params", "bitops", "peak_memory_bytes", "quantized"]
    writer = csv.DictWriter(out, names)
    writer.writeheader()
    for member in front.members:
        latency = member.latency_ms[member.deploy_on]
        test = member.accuracy_top1_test
        writer.writerow(
            {
                "id": member.id,
                "deploy_on": member.deploy_on,
                "accuracy_top1": member.accuracy_top1["value"],
                "accuracy_top1_test": test["value"] if test else "",
                "latency_ms": latency["value"],
                "p95_ms": latency["p95"],
                "kind": latency["kind"],
                "energy_mj": member.energy_mj["value"] if member.energy_mj else "",
                "size_bytes": member.size_bytes,
                "macs": member.macs,
                "params": member.params,
                "bitops": member.bitops,
                "peak_memory_bytes": member.peak_memory_bytes,
                "quantized": member.quantized,
            }
        )
    write_text(folder / "front.csv", out.getvalue())


def read_front(folder: Path) -> Front:
    """Returns the front of a run folder.

    Raises:
        InputError: there is none, or it is not one of ours.
    """
    path = folder / "front.json"
    if not path.exists():
        raise InputError(f"{folder} has no front.json: not a run folder, or its search has not ended yet")
    value = read_json(path, "front")
    try:
        front = checked(Front, {**value, "members": value["candidates"]})
        for member in front.members:
            _check(member)
        return front
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is not a front of this version: {error!r}; run the search again") from error


def _check(member: Member) -> None:
    """Refuses what types do not: an id that is no name of a folder, and figures without a number."""
    if not _ID.fullmatch(member.id):
        raise ValueError(f"id {member.id[:80]!r} is no name of a folder")
    if member.deploy_on not in member.latency_ms:
        raise ValueError(f"{member.id} has no latency on {member.deploy_on[:80]!r}")
    figures = [member.accuracy_top1, *member.latency_ms.values()]
    figures += [one for one in (member.energy_mj, member.accuracy_top1_test) if one is not None]
    lacking = [name for one in member.latency_ms.values() for name in _OF_LATENCIES if name not in one]
    if lacking:
        raise ValueError(f"{member.id} has a latency without {lacking[0]}")
    numbers = [figure.get("value") for figure in figures]
    numbers += [figure.get(name, 0.0) for figure in figures for name in ("p95", "low", "high", "predicted")]
    bits = [one for name in ("weights", "activations") for one in member.bits[name]]
    if not all(isinstance(one, int | float | None) for one in numbers) or not all(
        isinstance(one, int | float) and one >= 0 for one in numbers[: len(figures)]
    ):
        raise ValueError(f"{member.id} has a figure that is no number")
    if not all(isinstance(one, int) for one in bits):
        raise ValueError(f"{member.id} has bits that are no whole numbers")
