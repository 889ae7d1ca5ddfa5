"""What is measured beyond the first evaluations: networks whose latencies tell most about the front.

Accuracies need a sample that is drawn at random, and its latencies are measured with it. The other
measurements of a device are better spent where its predictor is unsure, near the target and near
the front that is expected.
"""

from collections.abc import Callable, Sequence

import numpy as np

from hwnas.predictors import FittedPredictor, next_to_measure
from hwnas.profilers.simulated import SimulatedDevice
from hwnas.search.genome import Genome, joined
from hwnas.search.goal import Goal
from hwnas.search.result import Fits
from hwnas.search.settings import SearchSettings
from hwnas.search.truth import Latencies
from hwnas.spaces import Candidates, Space

# Networks to choose from: random ones, and as many that differ from the known front in some genes.
_POOL, _CHANGED = 1000, 0.15


def at_random(one: Latencies, settings: SearchSettings) -> int:
    """Returns how many of the first sample a device measures as they were drawn.

    A simulated device gives all of them at no cost, and exactly.
    """
    wanted = max(settings.profile_samples, settings.initial_evaluations)
    return wanted if isinstance(one.device, SimulatedDevice) else settings.initial_evaluations


def measure_what_tells(
    latencies: Sequence[Latencies],
    fits: Fits,
    goal: Goal,
    settings: SearchSettings,
    space: Space,
    known_front: Callable[[Latencies], Candidates],
) -> bool:
    """Measures what each device's predictor has most to learn from; returns whether anything was new.

    Every device ends with `profile_samples` measurements, or with what it has where that is more.

    Args:
        latencies: of each device.
        fits: predictors of what is known so far.
        goal: has the limits.
        settings: of the search.
        space: to draw from.
        known_front: the best that is known on a device.
    """
    new = 0
    for index, one in enumerate(latencies):
        fitted, missing = fits.latency[one.device.name], settings.profile_samples - len(one.known)
        if missing <= 0 or not isinstance(fitted.predictor, FittedPredictor):
            continue
        pool = _pool(one, space, known_front(one), np.random.default_rng([settings.seed, index]))
        if not len(pool):
            continue
        limit = goal.latency_ms[one.device.name]
        rows = next_to_measure(
            fitted.predictor,
            fits.accuracy,
            pool,
            min(missing, len(pool)),
            target=limit / fitted.margin if np.isfinite(limit) else None,
        )
        new += one.learn(pool[rows])
    return new > 0


def _pool(one: Latencies, space: Space, front: Candidates, rng: np.random.Generator) -> Candidates:
    """Distinct networks that the device runs and has not measured."""
    genome = Genome(space, one.pairs)
    drawn = genome.sample(_POOL, rng)
    every = [drawn]
    if len(front):
        near = genome.encode(front)[rng.integers(0, len(front), _POOL)]
        every.append(np.where(rng.random(near.shape) < _CHANGED, genome.sample(_POOL, rng), near))
    pool = joined([genome.decode(genome.canonical(np.concatenate(every)))])
    return pool[[row for row, key in enumerate(pool.ids) if key not in one.known]]
