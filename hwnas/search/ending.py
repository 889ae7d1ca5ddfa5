"""The end of a search: the front of all that is known for sure."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hwnas.search.fleet import fleet_model
from hwnas.search.front import Front, Member
from hwnas.search.goal import Goal, reward
from hwnas.search.inner import Floats
from hwnas.search.pool import Pool, member
from hwnas.search.result import Fits, SearchResult, Tally
from hwnas.search.settings import SearchSettings
from hwnas.search.truth import Accuracies, Latencies
from hwnas.spaces import Candidates, Space


def ended_search(
    *,
    space: Space,
    settings: SearchSettings,
    goal: Goal,
    groups: Sequence[list[str]],
    accuracies: Accuracies,
    latencies: Sequence[Latencies],
    references: Mapping[str, Floats],
    tally: Tally,
    fits: Fits,
    baselines: Mapping[str, Candidates],
    hypervolume: float,
    rounds: int,
    ended: str,
) -> SearchResult:
    """Returns the result: members of every device's front, the fleet's model, and the account."""
    pool = Pool.of(accuracies, latencies)
    members: dict[str, Member] = {}
    fronts: dict[str, tuple[str, ...]] = {}

    def add(row: int, name: str) -> str:
        found = member(row, name, pool, accuracies, latencies, tally.predicted)
        members.setdefault(found.id, found)
        return found.id

    for group in groups:
        fronts["+".join(group)] = tuple(add(row, name) for row, name in pool.front(group, goal))
    fleet = fleet_model(pool, groups, goal) if len(groups) > 1 else None
    if fleet and fleet["id"] is not None and fleet["id"] not in members:
        add(pool.candidates.ids.index(fleet["id"]), next(iter(fleet["deploy_on"].values())))
    front = Front(
        space=space.name,
        devices={one.device.name: _facts(one) for one in latencies},
        target_latency_ms=_target(goal, settings),
        objectives=goal.objectives,
        reference_point=_reference_point(goal, references),
        hypervolume=hypervolume,
        members=tuple(members.values()),
        fronts=fronts,
        limits=goal.limits,
        fleet=fleet,
        soft=_soft(settings, pool, groups, goal),
        certificate=dict(tally.certificate),
    )
    known = accuracies.known
    return SearchResult(
        front=front,
        fits=fits,
        convergence=tally.convergence,
        verified=tally.verified,
        baselines={
            name: some[[row for row, key in enumerate(some.ids) if key in known]]
            for name, some in baselines.items()
        },
        proposed=sum(len(pairs) for pairs in tally.verified.values()),
        missed=tally.missed,
        rounds=rounds,
        ended=ended,
        pool=pool,
        goal=goal,
    )


def _target(goal: Goal, settings: SearchSettings) -> float | Mapping[str, float] | None:
    if settings.soft:
        return settings.target_latency_ms
    finite = {name: limit for name, limit in goal.latency_ms.items() if np.isfinite(limit)}
    if len(finite) == len(goal.latency_ms) and len(set(finite.values())) == 1:
        return next(iter(finite.values()))
    return finite or None


def _reference_point(goal: Goal, references: Mapping[str, Floats]) -> dict[str, float]:
    worst = np.max(list(references.values()), axis=0)
    return {
        name: float(-value if name == "accuracy_top1" else value)
        for name, value in zip(goal.objectives, worst.tolist(), strict=True)
    }


def _soft(
    settings: SearchSettings, pool: Pool, groups: Sequence[Sequence[str]], goal: Goal
) -> dict[str, Any] | None:
    """The weights, the target, and the model of the highest reward on each group of devices."""
    if settings.soft is None:
        return None
    target = settings.target_latency_ms
    assert target is not None, "settings were checked"
    best = {}
    for group in groups:
        front = pool.front(group, goal)
        worth = [
            float(
                reward(
                    pool.accuracy_top1[[row]],
                    pool.on_device[name]["latency_ms"][[row]],
                    target,
                    settings.soft,
                )[0]
            )
            for row, name in front
        ]
        if worth:
            at = int(np.argmax(worth))
            best["+".join(group)] = {"id": pool.candidates.ids[front[at][0]], "reward": worth[at]}
    return {"alpha": settings.soft.alpha, "beta": settings.soft.beta, "target_ms": target, "best": best}


def _facts(one: Latencies) -> dict[str, object]:
    device = one.device
    return {
        "runtime": device.runtime,
        "kind": device.kind,
        "threads": device.threads,
        "batch": device.batch,
        "bits": list(dict.fromkeys(bits for pair in one.pairs for bits in pair)),
        "fingerprint": dict(device.fingerprint().facts),
    }
