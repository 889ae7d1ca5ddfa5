"""What the front of a search is made of: members on every device, the fleet's model, the best reward."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from hwnas.search.fleet import fleet_model
from hwnas.search.front import Member
from hwnas.search.goal import reward
from hwnas.search.pool import Pool, member
from hwnas.search.state import State
from hwnas.search.truth import Latencies


def members_of(
    pool: Pool, state: State
) -> tuple[tuple[Member, ...], dict[str, tuple[str, ...]], Mapping[str, Any] | None]:
    """Returns the members, their ids on the front of each group of devices, and the fleet's model."""
    members: dict[str, Member] = {}

    def add(row: int, name: str) -> str:
        found = member(row, name, pool, state.accuracies, state.latencies, state.tally.predicted)
        members.setdefault(found.id, found)
        return found.id

    fronts = {
        "+".join(group): tuple(add(row, name) for row, name in pool.front(group, state.goal))
        for group in state.groups
    }
    fleet = fleet_model(pool, state.groups, state.goal) if len(state.groups) > 1 else None
    if fleet and fleet["id"] is not None and fleet["id"] not in members:
        add(pool.candidates.ids.index(fleet["id"]), next(iter(fleet["deploy_on"].values())))
    return tuple(members.values()), fronts, fleet


def most_rewarded(pool: Pool, state: State) -> dict[str, Any] | None:
    """Returns the weights, the target, and the model of the highest reward on each group of devices.

    None where the target is hard.
    """
    soft, target = state.settings.soft, state.settings.target_latency_ms
    if soft is None:
        return None
    assert target is not None, "settings were checked"
    best = {}
    for group in state.groups:
        front = pool.front(group, state.goal)
        worth = [
            float(
                reward(pool.accuracy_top1[[row]], pool.on_device[name]["latency_ms"][[row]], target, soft)[0]
            )
            for row, name in front
        ]
        if worth:
            at = int(np.argmax(worth))
            best["+".join(group)] = {"id": pool.candidates.ids[front[at][0]], "reward": worth[at]}
    return {"alpha": soft.alpha, "beta": soft.beta, "target_ms": target, "best": best}


def device_facts(one: Latencies) -> dict[str, object]:
    """Returns what a front says of a device."""
    device = one.device
    return {
        "runtime": device.runtime,
        "kind": device.kind,
        "threads": device.threads,
        "batch": device.batch,
        "bits": list(dict.fromkeys(bits for pair in one.pairs for bits in pair)),
        "fingerprint": dict(device.fingerprint().facts),
    }
