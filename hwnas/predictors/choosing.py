"""Which candidates to measure: the first of a new device, and the next of one that is known a little.

Source: greedy reduction of the mean posterior variance over a pool, as in Krause et al., Near-optimal
sensor placements in Gaussian processes (2008), section 2, with integrated variance for entropy.
"""

from collections.abc import Sequence

import numpy as np

from hwnas.errors import InputError
from hwnas.predictors.features import TOTALS, WORK, Floats, Ints, encoding, totals
from hwnas.predictors.metrics import larger_is_better
from hwnas.predictors.predictor import FittedPredictor
from hwnas.predictors.sources import Source
from hwnas.spaces import Candidates

# A pool is thinned to so many before variances among all pairs are held.
_POOL = 1500
# Prior variance of what is smooth and not linear in the features, and of noise, over the linear part's.
_BENT, _NOISE = 0.1, 0.02


def first_to_measure(
    pool: Candidates, n: int, rng: np.random.Generator, *, sources: Sequence[Source] = ()
) -> Ints:
    """Returns which n of a pool to measure first on a device that nothing is known of.

    They are chosen, one after the other, to leave least uncertainty over the whole pool about a
    quantity that is nearly linear in the logarithms of work and of other devices' predictions.

    Args:
        pool: candidates to choose from, distinct.
        n: how many, at most the pool's number.
        rng: thins large pools.
        sources: predictors of other devices.

    Returns:
        Row numbers [n], in the order to measure them.

    Raises:
        InputError: n is not from 1 to the pool's number.
    """
    _check(n, pool)
    rows = rng.permutation(len(pool))[: max(_POOL, n)]
    columns = _columns(pool[rows], sources)
    distances = _squared_distances(columns) / columns.shape[1]
    covariance = 1.0 + columns @ columns.T / columns.shape[1] + _BENT * np.exp(-distances / 2)
    return np.asarray(rows[_greedy(covariance, np.full(len(rows), 1.0), n)], dtype=np.int64)


def next_to_measure(
    latency: FittedPredictor,
    quality: FittedPredictor,
    pool: Candidates,
    n: int,
    *,
    target: float | None = None,
) -> Ints:
    """Returns which n of a pool to measure next, where it changes the front most.

    A candidate matters as far as its latency is uncertain, its quality may be on the front, and it
    lies near the target; and each one chosen makes those that tell the same matter less.

    Args:
        latency: predictor of the cost.
        quality: predictor of what to maximise, or of another cost to minimise.
        pool: candidates not measured yet.
        n: how many, at most the pool's number.
        target: of the latency, in its unit; None: the whole front counts alike.

    Returns:
        Row numbers [n], the most telling first.

    Raises:
        InputError: n is not from 1 to the pool's number, or the target not above zero.
    """
    _check(n, pool)
    if target is not None and not target > 0:
        raise InputError(f"a target must be above zero, but got {target}")
    worth = _worth(latency, quality, pool, target)
    rows = np.argsort(-worth, kind="stable")[: max(_POOL, n)]
    columns = _columns(pool[rows], ())
    distances = np.maximum(
        np.square(columns).sum(axis=1)[:, None] + np.square(columns).sum(axis=1) - 2 * columns @ columns.T,
        0.0,
    )
    kernel = np.exp(-distances / (0.5 * columns.shape[1]))
    scale = np.sqrt(worth[rows])
    return np.asarray(rows[_greedy(kernel * scale[:, None] * scale, np.ones(len(rows)), n)], dtype=np.int64)


def _worth(
    latency: FittedPredictor, quality: FittedPredictor, pool: Candidates, target: float | None
) -> Floats:
    expected = latency.predict(pool, 0.68)
    relative = (expected.high - expected.low) / 2 / expected.mean
    other = quality.predict(pool, 0.68)
    sign = 1.0 if larger_is_better(quality.metric) else -1.0
    value, uncertain = sign * other.mean, (other.high - other.low) / 2
    order = np.argsort(expected.mean, kind="stable")
    best = np.empty(len(pool))
    best[order] = np.maximum.accumulate(value[order])
    uncertain = np.maximum(uncertain, 0.02 * float(np.ptp(value)) + 1e-12)
    worth = np.square(relative) * np.exp(-(best - value) / uncertain)
    if target is not None:
        away = np.abs(np.log(expected.mean / target)) / np.maximum(2 * relative, 0.05)
        worth *= np.exp(-away)
    return np.asarray(np.maximum(worth, 1e-300))


def _columns(candidates: Candidates, sources: Sequence[Source]) -> Floats:
    """Logarithms of work and of other devices' predictions, and choices, standardised."""
    table = totals(candidates)
    column = {name: table[:, at] for at, name in enumerate(TOTALS)}
    work = [
        np.log1p(np.sum([column[name] + column[f"{name}_quantized"] for name in names], axis=0))
        for names in (*WORK, ("launches",), ("se",))
    ]
    known = [np.log(source.mean(candidates)) for source in sources]
    columns = np.stack([*work, *known, np.log(column["image_size"])], axis=1)
    choices = encoding(candidates)
    return np.concatenate([_standard(columns), 0.3 * _standard(choices)], axis=1)


def _squared_distances(columns: Floats) -> Floats:
    squares = np.square(columns).sum(axis=1)
    distances: Floats = np.maximum(squares[:, None] + squares - 2 * columns @ columns.T, 0.0)
    return distances


def _standard(columns: Floats) -> Floats:
    deviation = columns.std(axis=0)
    varies = deviation > 1e-9
    standard: Floats = (columns - columns.mean(axis=0))[:, varies] / deviation[varies]
    return standard


def _greedy(covariance: Floats, weights: Floats, n: int) -> Ints:
    """Returns the rows whose measuring leaves least weighed variance, in turn."""
    covariance = covariance.copy()
    noise = _NOISE * float(np.diag(covariance).mean())
    open_ = np.ones(len(covariance), dtype=bool)
    chosen = []
    for _ in range(n):
        gain = weights @ np.square(covariance) / (np.diag(covariance) + noise)
        row = int(np.argmax(np.where(open_, gain, -np.inf)))
        chosen.append(row)
        open_[row] = False
        column = covariance[:, row]
        covariance = covariance - np.outer(column, column) / (column[row] + noise)
    return np.array(chosen, dtype=np.int64)


def _check(n: int, pool: Candidates) -> None:
    if not 1 <= n <= len(pool):
        raise InputError(f"the number to measure must be from 1 to {len(pool)}, the pool's size, but got {n}")
