"""The front: mutually non-dominated candidates with their figures, and its file."""

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hwnas.errors import InputError
from hwnas.files import checked, read_json, write_json, write_text

_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")
_OF_LATENCIES = ("p95", "kind", "predicted")
# A figure with its kind and its interval: {"value", "kind", ...} as design of front.json has it.
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

    @property
    def quantized(self) -> bool:
        """Whether any layer is below floating point."""
        return any(b < 32 for b in [*self.bits["weights"], *self.bits["activations"]])


@dataclass(frozen=True, kw_only=True)
class Front:
    """What a search found.

    Attributes:
        devices: facts about each device by name: runtime, kind, fingerprint.
        target_latency_ms: what every member's p95 is within.
        reference_point: accuracy_top1 (percent) and latency_ms that the hypervolume starts from.
        hypervolume: percent points x ms dominated by the members.
        members: fastest first.
        dropped: models that were exported and then left out: id, device and reason.
    """

    space: str
    devices: Mapping[str, Mapping[str, Any]]
    target_latency_ms: float
    reference_point: Mapping[str, float]
    hypervolume: float
    members: tuple[Member, ...]
    objectives: tuple[str, ...] = ("accuracy_top1", "latency_ms")
    dropped: tuple[Mapping[str, Any], ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Returns the content of `front.json`."""
        return {
            "space": self.space,
            "devices": {name: dict(facts) for name, facts in self.devices.items()},
            "objectives": list(self.objectives),
            "target_latency_ms": self.target_latency_ms,
            "reference_point": dict(self.reference_point),
            "hypervolume": self.hypervolume,
            "candidates": [member.to_json() for member in self.members],
            "dropped": [dict(one) for one in self.dropped],
        }

    def with_members(self, members: tuple[Member, ...]) -> "Front":
        """Returns the front with other members."""
        return replace(self, members=members)


def write_front(front: Front, folder: Path) -> None:
    """Writes `front.json` and `front.csv` into a run folder."""
    write_json(folder / "front.json", front.to_json())
    out = io.StringIO()
    names = ["id", "deploy_on", "accuracy_top1", "accuracy_top1_test", "latency_ms", "p95_ms", "kind"]
    names += ["size_bytes", "macs", "params", "bitops", "peak_memory_bytes", "quantized"]
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
