"""One model for a fleet: the least largest regret against each device's own best."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hwnas.search.goal import Figures, Goal
from hwnas.search.pool import Pool


def fleet_model(pool: Pool, groups: Sequence[Sequence[str]], goal: Goal) -> dict[str, Any]:
    """Returns the model that minimises the largest regret over groups of devices: see `fleet_of`."""
    figures = {name: pool.figures(name) for group in groups for name in group}
    return fleet_of(pool.candidates.ids, figures, groups, goal)


def fleet_of(
    ids: Sequence[str], figures: Mapping[str, Figures], groups: Sequence[Sequence[str]], goal: Goal
) -> dict[str, Any]:
    """Returns the model that minimises the largest regret over groups of devices.

    Regret on a group is its own most accurate model within its limits, less this model's accuracy,
    in points. Only models that keep the limits of every group (on one of its devices) qualify; of
    equal regrets the one that is furthest from its targets wins.

    Args:
        ids: of the candidates, [n].
        figures: of the candidates by device, accuracy among them.
        groups: devices of one group stand in for each other.
        goal: the limits.

    Returns:
        `id` (None where no model keeps all limits), `regret_points` and `deploy_on` by group, and
        `carried_over`: what the best model of each group would regret on the others (None where it
        breaks a limit there). The chosen one is never worse than any of these.
    """
    accuracy = next(iter(figures.values()))["accuracy_top1"]
    keeps = {name: goal.kept(figures[name], name) for name in figures}
    kept = np.stack([np.any([keeps[name] for name in group], axis=0) for group in groups], axis=1)
    names = ["+".join(group) for group in groups]
    tops = np.where(kept, accuracy[:, None], -np.inf).max(axis=0)
    regrets = np.where(kept, tops - accuracy[:, None], np.inf)
    worst = regrets.max(axis=1)
    carried: dict[str, Any] = {}
    for column, name in enumerate(names):
        row = int(np.where(kept[:, column], accuracy, -np.inf).argmax())
        fits = kept[:, column].any() and np.isfinite(worst[row])
        carried[name] = {"id": ids[row], "worst_regret_points": float(worst[row])} if fits else None
    if not np.isfinite(worst).any():
        return {"id": None, "regret_points": {}, "deploy_on": {}, "carried_over": carried}
    shares = {
        name: np.where(keeps[name], figures[name]["p95_ms"] / goal.latency_ms[name], np.inf)
        for name in figures
    }
    tightest = np.max([np.min([shares[name] for name in group], axis=0) for group in groups], axis=0)
    chosen = int(np.lexsort((tightest, worst))[0])
    return {
        "id": ids[chosen],
        "regret_points": {name: float(regrets[chosen, c]) for c, name in enumerate(names)},
        "deploy_on": {
            name: min(
                (device for device in group if keeps[device][chosen]),
                key=lambda device: figures[device]["latency_ms"][chosen],
            )
            for name, group in zip(names, groups, strict=True)
        },
        "carried_over": carried,
    }
