"""What is left of a front when its files have been checked and measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hwnas.export.gate import Agreement
from hwnas.profilers import Measurement
from hwnas.search.front import Front, Member
from hwnas.search.pareto import hypervolume, non_dominated
from hwnas.search.pool import latency_figure


@dataclass(frozen=True)
class Gated:
    """What the gate found of one file.

    Attributes:
        test: accuracy of the file on the test split, a figure of `front.json`.
        formats: names of further files in the folder.
    """

    agreement: Agreement
    test: Mapping[str, Any]
    formats: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settled:
    """What is left, and why the rest is not.

    Attributes:
        members: with the figures of their files.
        dropped: id, device and reason of each other one.
        hypervolume: of what is left.
    """

    members: tuple[Member, ...]
    dropped: tuple[Mapping[str, Any], ...]
    hypervolume: float


def settled(
    front: Front, gated: Mapping[str, Gated], taken: Mapping[str, Measurement], groups: Sequence[list[str]]
) -> Settled:
    """Returns the members that keep their place by their files' own figures.

    Args:
        front: as the search found it.
        gated: what the gate found of each member's file.
        taken: the measurement of each member's file.
        groups: names of devices that compete for one front.
    """
    kept: list[Member] = []
    dropped: list[dict[str, Any]] = []

    def drop(member: Member, reason: str) -> None:
        dropped.append({"id": member.id, "deploy_on": member.deploy_on, "reason": reason})

    for member in front.members:
        one, gate = taken[member.id], gated[member.id]
        reason = _broken(front, member, one) or gate.agreement.reason
        if reason:
            drop(member, reason)
        else:
            kept.append(_with_own_figures(member, one, gate))
    final, volume = [], 0.0
    for group in groups:
        members = [member for member in kept if member.deploy_on in group]
        points = front.points(members)
        rows = set(non_dominated(points).tolist())
        volume += hypervolume(points, front.reference)
        latency = np.array([m.latency_ms[m.deploy_on]["value"] for m in members])
        for row in np.argsort(latency, kind="stable").tolist():
            # The fleet's model is there for all devices together, whatever is best on this one.
            if row in rows or (front.fleet and members[row].id == front.fleet["id"]):
                final.append(members[row])
            else:
                drop(
                    members[row],
                    "another model is no slower and more accurate now that its file was measured",
                )
    return Settled(tuple(final), tuple(dropped), volume)


def _broken(front: Front, member: Member, one: Measurement) -> str | None:
    """Which limit a file breaks; None where it keeps them."""
    if (one.energy_mj or 0.0) > front.limits.get("energy_mj", np.inf):
        return f"{one.energy_mj:.4g} mJ broke the energy target when its file was measured"
    if one.p95_ms > front.target_on(member.deploy_on):
        return f"p95 of {one.p95_ms:.4g} ms broke the target when its file was measured"
    return None


def _with_own_figures(member: Member, one: Measurement, gate: Gated) -> Member:
    figure = latency_figure(one, member.latency_ms[member.deploy_on].get("predicted"))
    energy = None if one.energy_mj is None else {"value": one.energy_mj, "kind": one.energy_source}
    return replace(
        member,
        latency_ms={**member.latency_ms, member.deploy_on: figure},
        accuracy_top1_test=gate.test,
        energy_mj=energy,
    )
