"""Do intervals hold what they say? Fits by the automatic choice, each with a test set of its own.

One test set of 1,000 is luck of one per cent by itself, whatever the number of fits: the fifths of all
networks take turns.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.predictors import fit_predictor, metric_columns, read_measurements
from hwnas.spaces import get_space

_FOLDS = 5
# Measurements -> fits for each seed that is asked for: few measurements tell more by chance.
_FITS = {10: 4, 30: 4, 50: 4, 100: 4, 200: 2, 300: 2, 500: 2, 1000: 2, 4000: 1}


def coverage(data: Path, seeds: int) -> Iterator[tuple[dict[str, Any], Callable[[], dict[str, Any]]]]:
    """How many held-out values lie in 90 % intervals, and above the 95 % bound, of each setting."""
    space = get_space("ofa-mobilenetv3-w1.0")
    files = {
        "latency_gpus.csv": (10, 30, 100, 300, 1000, 4000),
        "accuracy_imagenet.csv": (50, 100, 200, 500, 1000),
    }
    for file, sizes in files.items():
        for metric in (
            one for one in metric_columns(data / "ofa" / file) if "_ms:" in one or one == "accuracy_top1"
        ):
            every = read_measurements(data / "ofa" / file, space, metric)
            first = every.candidates.first_of_each()
            candidates, values = every.candidates[first], every.values[first]
            order = np.random.default_rng(0).permutation(len(values))
            for size in sizes:
                for seed in range(_FITS[size] * seeds):

                    def made(
                        candidates: Any = candidates,
                        values: Any = values,
                        order: Any = order,
                        size: int = size,
                        seed: int = seed,
                        metric: str = metric,
                    ) -> dict[str, Any]:
                        parts = np.array_split(order, _FOLDS)
                        test = parts.pop(seed % _FOLDS)
                        train = np.random.default_rng(100 + seed).permutation(np.concatenate(parts))[:size]
                        one = fit_predictor(space, candidates[train], values[train], metric=metric)
                        found, truth = one.predict(candidates[test]), values[test]
                        return {
                            "covered": float(np.mean((found.low <= truth) & (truth <= found.high))),
                            "above": float(np.mean(truth > one.upper(candidates[test], 0.95))),
                            "below": float(np.mean(truth < one.upper(candidates[test], 0.05))),
                        }

                    what = {"part": "coverage", "setting": metric.partition(":")[2] or metric, "size": size}
                    yield {**what, "seed": seed, "model": "hwnas auto"}, made
