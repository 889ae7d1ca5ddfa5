"""Non-dominated sets, ranks and the hypervolume, for objectives that are all minimised."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def non_dominated(objectives: Floats) -> Ints:
    """Returns the rows of [n, m] that no other row dominates, ascending; of equal rows the first.

    A row dominates another when it is nowhere larger and somewhere smaller. Rows with a NaN are
    never returned and dominate nothing.
    """
    usable = np.flatnonzero(~np.isnan(objectives).any(axis=1))
    if not len(usable):
        return usable
    if objectives.shape[1] == 2:
        return np.sort(usable[non_dominated_pairs(objectives[usable, 1], -objectives[usable, 0])])
    _, first = np.unique(objectives[usable], axis=0, return_index=True)
    distinct = usable[np.sort(first)]
    return np.sort(distinct[_sorted_fronts(objectives[distinct], first_only=True)[0]])


def non_dominated_pairs(cost: Floats, score: Floats) -> Ints:
    """Returns the rows of the front of (least cost [n], most score [n]), by ascending cost.

    Of equal pairs the first row is returned. Values must not be NaN.
    """
    order = np.argsort(cost, kind="stable")  # timsort: runs that are sorted already are merged
    ordered = score[order]
    rising = np.empty(len(order), dtype=bool)
    rising[:1] = True
    rising[1:] = ordered[1:] > np.maximum.accumulate(ordered)[:-1]
    kept = order[rising]
    # Of equal costs the last kept has the highest score, at its first row.
    last = np.empty(len(kept), dtype=bool)
    last[-1:] = True
    last[:-1] = cost[kept[1:]] > cost[kept[:-1]]
    return kept[last]


def ranks(objectives: Floats, violation: Floats) -> Ints:
    """Returns the number of the front that each row [n] is on, 0 the best.

    Fronts are peeled off the feasible rows; behind them stand the others, by their violation.

    Args:
        objectives: [n, m], no NaN.
        violation: [n], 0 where a row is feasible, and how far it is from that elsewhere.

    Source: constrained domination, Deb et al. (2002), section VI.
    """
    found = np.empty(len(objectives), dtype=np.int64)
    feasible = np.flatnonzero(violation <= 0)
    last = -1
    if len(feasible):
        found[feasible] = _peeled(objectives[feasible])
        last = int(found[feasible].max())
    others = np.flatnonzero(violation > 0)
    _, order = np.unique(violation[others], return_inverse=True)
    found[others] = last + 1 + order.ravel()
    return found


def crowding(objectives: Floats, rank: Ints) -> Floats:
    """Returns the crowding distance of each row [n] on its front; infinite at a front's ends.

    Source: Deb et al. (2002), section III.B.
    """
    distance = np.zeros(len(objectives))
    for column in objectives.T:
        order = np.lexsort((column, rank))
        values, group = column[order], rank[order]
        starts = np.flatnonzero(np.append(True, group[1:] != group[:-1]))
        ends = np.append(starts[1:], len(order)) - 1
        span = np.repeat(values[ends] - values[starts], ends - starts + 1)
        gap = np.zeros(len(order))
        # Where a whole front is equal, nothing lies apart.
        gap[1:-1] = (values[2:] - values[:-2]) / np.where(span > 0, span, np.inf)[1:-1]
        gap[starts] = gap[ends] = np.inf
        distance[order] += gap
    return distance


def hypervolume(objectives: Floats, reference: Floats) -> float:
    """Returns the volume that rows [n, m] dominate below the reference point [m]; 0 for no rows.

    Source: Zitzler and Thiele (1998); beyond two objectives computed by pymoo.
    """
    inside = objectives[(objectives < reference).all(axis=1)]
    if not len(inside):
        return 0.0
    if objectives.shape[1] == 2:
        front = inside[non_dominated_pairs(inside[:, 1], -inside[:, 0])]
        widths = np.diff(np.append(front[:, 1], reference[1]))
        return float(widths @ (reference[0] - front[:, 0]))
    from pymoo.indicators.hv import HV

    return float(HV(ref_point=reference)(inside))


def spread_subset(objectives: Floats, n: int) -> Ints:
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


def gainful_subset(objectives: Floats, known: Floats, reference: Floats, n: int) -> Ints:
    """Returns up to n rows of [r, 2] that add most to the hypervolume of `known` [k, 2], the best first.

    Greedy: each row is chosen beside those before it. Rows that add nothing are left to
    `spread_subset`, so that n rows are returned where there are as many. Deterministic, ties go to the
    lower row.

    Source: the greedy choice of hypervolume subsets (Guerreiro et al., 2016), (1 - 1/e) of the best.
    """
    front, chosen = known, np.zeros(0, dtype=np.int64)
    for _ in range(min(n, len(objectives))):
        gains = _gains(objectives, front, reference)
        best = int(gains.argmax())
        if gains[best] <= 0 or best in chosen:
            break
        chosen = np.append(chosen, best)
        front = np.concatenate([front, objectives[[best]]])
    rest = np.setdiff1d(np.arange(len(objectives)), chosen)
    others: Ints = rest[spread_subset(objectives[rest], n - len(chosen))] if len(chosen) < n else rest[:0]
    return np.concatenate([chosen, others])


def _gains(objectives: Floats, known: Floats, reference: Floats) -> Floats:
    """What each row [r, 2] adds to the hypervolume of known ones."""
    inside = known[(known < reference).all(axis=1)]
    front = inside[non_dominated_pairs(inside[:, 1], -inside[:, 0])]
    # The staircase: up to the first member nothing is dominated, from each member on its own level.
    ends = np.append(front[:, 1], reference[1])
    starts = np.append(-np.inf, front[:, 1])
    levels = np.append(reference[0], front[:, 0])
    widths = np.maximum(ends - np.maximum(starts, objectives[:, 1:]), 0.0)
    heights = np.maximum(levels - objectives[:, :1], 0.0)
    gains: Floats = (widths * heights).sum(axis=1)
    return gains


def _peeled(objectives: Floats) -> Ints:
    """The front of each row, by peeling; a sort does for two objectives."""
    found = np.empty(len(objectives), dtype=np.int64)
    if objectives.shape[1] == 1:
        return np.unique(objectives[:, 0], return_inverse=True)[1].ravel().astype(np.int64)
    if objectives.shape[1] > 2:
        for number, rows in enumerate(_sorted_fronts(objectives, first_only=False)):
            found[rows] = number
        return found
    left, number = np.lexsort((objectives[:, 1], objectives[:, 0])), 0
    while len(left):
        second = objectives[left, 1]
        on = np.ones(len(left), dtype=bool)
        on[1:] = second[1:] < np.minimum.accumulate(second)[:-1]
        found[left[on]] = number
        left, number = left[~on], number + 1
    return found


def _sorted_fronts(objectives: Floats, first_only: bool) -> list[Ints]:
    from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

    found = NonDominatedSorting().do(objectives, only_non_dominated_front=first_only)
    return [np.asarray(found)] if first_only else [np.asarray(rows) for rows in found]
