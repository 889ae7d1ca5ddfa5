"""Non-dominated sets and the hypervolume, for objectives that are all minimised."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def non_dominated(objectives: Floats) -> NDArray[np.int64]:
    """Returns the rows of [n, m] that no other row dominates, ascending; of equal rows the first.

    A row dominates another when it is nowhere larger and somewhere smaller. Rows with a NaN are
    never returned and dominate nothing.
    """
    from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

    usable = np.flatnonzero(~np.isnan(objectives).any(axis=1))
    if not len(usable):
        return usable
    _, first = np.unique(objectives[usable], axis=0, return_index=True)
    distinct = usable[np.sort(first)]
    front = NonDominatedSorting().do(objectives[distinct], only_non_dominated_front=True)
    return np.sort(distinct[front])


def hypervolume(objectives: Floats, reference: Floats) -> float:
    """Returns the volume that rows [n, m] dominate below the reference point [m]; 0 for no rows.

    Source: Zitzler and Thiele (1998); computed by pymoo.
    """
    from pymoo.indicators.hv import HV

    inside = objectives[(objectives < reference).all(axis=1)]
    return float(HV(ref_point=reference)(inside)) if len(inside) else 0.0


def spread_subset(objectives: Floats, n: int) -> NDArray[np.int64]:
    """Returns up to n rows of [r, m] that lie far apart, both extremes of each objective first.

    Greedy farthest-point choice on objectives scaled to their range; deterministic, ties go to the
    lower row.
    """
    if len(objectives) <= n:
        return np.arange(len(objectives))
    low, high = objectives.min(axis=0), objectives.max(axis=0)
    scaled = (objectives - low) / np.where(high > low, high - low, 1.0)
    chosen = list(dict.fromkeys(int(row) for row in scaled.argmin(axis=0)))[:n]
    nearest = np.full(len(scaled), np.inf)
    for row in chosen:
        nearest = np.minimum(nearest, np.linalg.norm(scaled - scaled[row], axis=1))
    while len(chosen) < n:
        nearest[chosen] = -1.0  # rows may be equal: being taken is less than lying on a taken one
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(scaled - scaled[chosen[-1]], axis=1))
    return np.sort(np.array(chosen))
