"""Transfer to a new device, and active measuring, on public latencies."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.predictors import (
    FittedPredictor,
    first_to_measure,
    fit_predictor,
    metric_columns,
    next_to_measure,
    read_measurements,
    score,
)
from hwnas.spaces import get_space

Figure = dict[str, Any]
Jobs = Iterator[tuple[Figure, Callable[[], Figure]]]
_SPACE = "ofa-mobilenetv3-w1.0"
# The networks that the known devices were measured on are none of those that the new one is.
_KNOWN = 1000


def transfer(data: Path, seeds: int) -> Jobs:
    """Leave one GPU out: the other's settings are known from 1,000 measurements each."""
    path, space = data / "ofa" / "latency_gpus.csv", get_space(_SPACE)
    measured = {name: read_measurements(path, space, name) for name in metric_columns(path)}
    candidates = next(iter(measured.values())).candidates
    order = np.random.default_rng(0).permutation(5000)
    test, known, pool = order[:1000], order[-_KNOWN:], order[1000:-_KNOWN]
    fitted: dict[str, FittedPredictor] = {}

    def source(name: str) -> FittedPredictor:
        if name not in fitted:
            fitted[name] = fit_predictor(space, candidates[known], measured[name].values[known])
        return fitted[name]

    def made(setting: str, train: Any, with_sources: bool, model: str = "auto") -> Figure:
        gpu = setting.partition(":")[2].rpartition("_")[0]
        sources = [source(name) for name in measured if gpu not in name] if with_sources else []
        values = measured[setting].values
        predictor = fit_predictor(space, candidates[train], values[train], model=model, sources=sources)
        prediction = predictor.predict(candidates[test])
        found = score(prediction, values[test]).to_json()
        return {**found, "above": float(np.mean(values[test] > prediction.high))}

    def chosen(setting: str, size: int, seed: int) -> Any:
        gpu = setting.partition(":")[2].rpartition("_")[0]
        rng = np.random.default_rng(100 + seed)
        some = rng.permutation(pool)[:1000]
        sources = [source(name) for name in measured if gpu not in name]
        return some[first_to_measure(candidates[some], size, rng, sources=sources)]

    for size in (10, 30, 100):
        for seed in range(seeds):
            train = np.random.default_rng(100 + seed).permutation(pool)[:size]
            for setting in measured:
                what = {"part": "transfer", "setting": setting.partition(":")[2], "size": size, "seed": seed}
                for model, rows, given, name in (
                    ("alone, physics", lambda s=setting, t=train: t, False, "physics"),
                    ("alone, auto", lambda s=setting, t=train: t, False, "auto"),
                    ("sources, physics", lambda s=setting, t=train: t, True, "physics"),
                    ("sources, auto", lambda s=setting, t=train: t, True, "auto"),
                    (
                        "sources, auto, chosen first",
                        lambda s=setting, n=size, i=seed: chosen(s, n, i),
                        True,
                        "auto",
                    ),
                ):
                    yield (
                        {**what, "model": model},
                        lambda s=setting, rows=rows, given=given, name=name: made(s, rows(), given, name),
                    )


def active(data: Path, seeds: int) -> Jobs:
    """From 20 random measurements in batches of 10 to 80, with a target: the median latency.

    Accuracies are those of a predictor fitted on all public ones. Figures: the error on the networks
    that matter (within 15 % of the target and 0.5 points of the front), and by how much accuracy the
    best network measured to meet the target falls short of the best there is.
    """
    path, space = data / "ofa" / "latency_gpus.csv", get_space(_SPACE)
    known = read_measurements(data / "ofa" / "accuracy_imagenet.csv", space, "accuracy_top1")
    quality = fit_predictor(space, known.candidates, known.values, metric="accuracy_top1")
    for setting in ("titan_rtx_64", "titan_rtx_1", "v100_32"):
        one = read_measurements(path, space, f"latency_ms:{setting}")
        accuracy = quality.mean(one.candidates)
        target = float(np.median(one.values))
        order = np.argsort(one.values)
        front = np.empty(len(order))
        front[order] = np.maximum.accumulate(accuracy[order])
        matters = np.flatnonzero((np.abs(one.values / target - 1) < 0.15) & (front - accuracy < 0.5))
        best = float(accuracy[one.values <= target].max())
        for seed in range(seeds):
            for how in ("random", "active"):

                def made(
                    one: Any = one,
                    how: str = how,
                    seed: int = seed,
                    target: float = target,
                    accuracy: Any = accuracy,
                    matters: Any = matters,
                    best: float = best,
                ) -> Figure:
                    rng = np.random.default_rng(seed)
                    rows = rng.permutation(len(one.values))[:20]
                    while len(rows) < 80:
                        left = np.setdiff1d(np.arange(len(one.values)), rows)
                        some = rng.permutation(left)[:1500]
                        if how == "active":
                            fitted = fit_predictor(space, one.candidates[rows], one.values[rows])
                            at = next_to_measure(fitted, quality, one.candidates[some], 10, target=target)
                            rows = np.concatenate([rows, some[at]])
                        else:
                            rows = np.concatenate([rows, some[:10]])
                    fitted = fit_predictor(space, one.candidates[rows], one.values[rows])
                    fresh = np.setdiff1d(matters, rows)
                    got = score(fitted.predict(one.candidates[fresh]), one.values[fresh])
                    met = rows[one.values[rows] <= target]
                    return {
                        "mape_percent": got.mape_percent,
                        "coverage_90": got.coverage_90,
                        "short_points": best - float(accuracy[met].max()),
                        "n": len(fresh),
                    }

                yield {"part": "active", "setting": setting, "size": 80, "seed": seed, "model": how}, made
