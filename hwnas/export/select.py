"""Choosing among the members of a front."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import InputError, unknown_name
from hwnas.search.front import Member

Floats = NDArray[np.float64]

CHOICES = ("knee", "fastest", "best", "all")
# Shorter beginnings of an ID are more likely mistakes than choices.
_LEAST_DIGITS = 4


def select(members: Sequence[Member], choices: Sequence[str]) -> list[Member]:
    """Returns the members chosen, each once, in the order of the front.

    Args:
        members: of one front: on devices whose times compete.
        choices: `knee` (farthest from the line between the fastest and the best), `fastest`,
            `best` (the most accurate), `all`, or IDs, of which the first four digits are enough
            where no other begins with them. Ties go to the faster, then to the earlier member.

    Raises:
        InputError: an empty front, or a choice that is none of these.
    """
    if not members:
        raise InputError("the front is empty: there is nothing to select")
    chosen: set[int] = set()
    for choice in choices:
        chosen.update(_indices(members, choice))
    return [member for index, member in enumerate(members) if index in chosen]


def _indices(members: Sequence[Member], choice: str) -> list[int]:
    latency = np.array([member.latency_ms[member.deploy_on]["value"] for member in members])
    accuracy = np.array([member.accuracy_top1["value"] for member in members])
    by_latency = np.argsort(latency, kind="stable")
    if choice == "all":
        return list(range(len(members)))
    if choice == "fastest":
        return [int(by_latency[0])]
    if choice == "best":
        return [int(by_latency[np.argmax(accuracy[by_latency])])]
    if choice == "knee":
        # A unit square turned so that the line between the extremes is level: the farthest is highest.
        gain = _scaled(accuracy) - _scaled(latency)
        return [int(by_latency[np.argmax(gain[by_latency])])]
    exact = [index for index, member in enumerate(members) if member.id == choice]
    begun = [index for index, member in enumerate(members) if member.id.startswith(choice)]
    if exact or (len(choice) >= _LEAST_DIGITS and len({members[index].id for index in begun}) == 1):
        return exact or begun
    raise unknown_name("selection", choice, [*CHOICES, *(member.id for member in members)])


def _scaled(values: Floats) -> Floats:
    """Values from 0 to 1; all 0 where they are equal."""
    span = float(np.ptp(values))
    return np.asarray((values - values.min()) / (span or 1.0))
