"""One model for a fleet: the least largest regret against each device's own best."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.search.goal import Goal
from hwnas.search.pool import Pool

Floats = NDArray[np.float64]


def fleet_model(pool: Pool, groups: Sequence[Sequence[str]], goal: Goal) -> dict[str, Any]:
    """Returns the model that minimises the largest regret over groups of devices.

    Regret on a group is its own most accurate model within its limits, less this model's accuracy,
    in points. Only models that keep the limits of every group (on one of its devices) qualify; of
    equal regrets the one nearest its targets least wins.

    Returns:
        `id` (None where no model keeps all limits), `regret_points` and `deploy_on` by group, and
        `carried_over`: what the best model of each group would regret on the others (None where it
        breaks a limit there). The chosen one is never worse than any of these.
    """
    accuracy = pool.accuracy_top1
    kept = np.stack([_kept(pool, group, goal) for group in groups], axis=1)
    names = ["+".join(group) for group in groups]
    best = [_best(accuracy, kept[:, column]) for column in range(len(groups))]
    tops = np.array([np.inf if row is None else accuracy[row] for row in best])
    regrets = np.where(kept, tops - accuracy[:, None], np.inf)
    worst = regrets.max(axis=1)
    ids = pool.candidates.ids
    carried = {
        name: {"id": ids[row], "worst_regret_points": float(worst[row])}
        if row is not None and np.isfinite(worst[row])
        else None
        for name, row in zip(names, best, strict=True)
    }
    if not np.isfinite(worst).any():
        return {"id": None, "regret_points": {}, "deploy_on": {}, "carried_over": carried}
    slack = np.max([_tightness(pool, group, goal) for group in groups], axis=0)
    chosen = int(np.lexsort((slack, worst))[0])
    return {
        "id": ids[chosen],
        "regret_points": {name: float(regrets[chosen, c]) for c, name in enumerate(names)},
        "deploy_on": {
            name: min(
                (device for device in group if pool.kept(device, goal)[chosen]),
                key=lambda device: pool.on_device[device]["latency_ms"][chosen],
            )
            for name, group in zip(names, groups, strict=True)
        },
        "carried_over": carried,
    }


def _kept(pool: Pool, group: Sequence[str], goal: Goal) -> NDArray[np.bool_]:
    kept: NDArray[np.bool_] = np.any([pool.kept(device, goal) for device in group], axis=0)
    return kept


def _best(accuracy: Floats, kept: NDArray[np.bool_]) -> int | None:
    return int(np.where(kept, accuracy, -np.inf).argmax()) if kept.any() else None


def _tightness(pool: Pool, group: Sequence[str], goal: Goal) -> Floats:
    """The share of its target that the fastest device of a group takes, [n]."""
    parts = [
        np.where(pool.kept(d, goal), pool.on_device[d]["p95_ms"] / goal.latency_ms[d], np.inf) for d in group
    ]
    found: Floats = np.min(parts, axis=0)
    return found
