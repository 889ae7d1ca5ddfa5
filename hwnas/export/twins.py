"""Quantized models beside their floating-point twins: what their bits gain on the device."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hwnas.profilers import Device, Measurement
from hwnas.search.front import Member
from hwnas.spaces import FLOAT_BITS, Network


def twin_name(id: str) -> str:
    """Returns the name under which the floating-point twin of a candidate is known."""
    return f"{id} in floating point"


def build_twins(
    members: Sequence[Member],
    device_of: Callable[[Member], Device],
    network_of: Callable[[Member], Network],
    is_known: Callable[[Member], bool],
    folder: Path,
) -> dict[str, Path]:
    """Returns the artefact of the twin of each quantized member whose device runs floating point.

    Args:
        members: of a front.
        device_of: the device of a member.
        network_of: the twin's network of a member.
        is_known: whether a twin has been measured; its path then holds nothing.
        folder: where to build.
    """
    artefacts = {}
    for member in members:
        device = device_of(member)
        if member.quantized and FLOAT_BITS in device.bits:
            place = folder / member.id
            place.mkdir()
            known = is_known(member)
            artefacts[member.id] = place if known else device.build(network_of(member), place)
    return artefacts


def twin_figure(member: Member, taken: Mapping[str, Measurement]) -> dict[str, Any] | None:
    """Returns what the bits of a member gain on its device; None where it has no twin there.

    Args:
        member: quantized or not.
        taken: measurements by the ids of members and the names of twins.

    Returns:
        `latency_ms` of the twin, `ratio` of the member's to it, and `faster_than_twin`: whether the 95 %
        intervals of both medians lie apart.
    """
    twin, own = taken.get(twin_name(member.id)), taken[member.id]
    if twin is None:
        return None
    return {
        "latency_ms": twin.latency_ms,
        "ratio": own.latency_ms / twin.latency_ms,
        "faster_than_twin": own.ci_high_ms < twin.ci_low_ms,
    }


def twin_remark(member: Member, figure: Mapping[str, Any], own_ms: float) -> str | None:
    """Returns a line for a member that is no faster than its twin; None where it is."""
    if figure["faster_than_twin"]:
        return None
    return (
        f"{member.id} is not faster than its floating-point twin on {member.deploy_on}: {own_ms:.4g} against "
        f"{figure['latency_ms']:.4g} ms; its bits save memory alone there"
    )
