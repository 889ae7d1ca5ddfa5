"""Candidates a CPU second, from genomes to both objectives, and what distilling costs in rank."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.predictors import FittedPredictor, distill, fit_predictor, read_measurements
from hwnas.predictors.csvio import Measurements
from hwnas.predictors.features import Floats, Ints
from hwnas.spaces import Candidates, get_space

_BATCH = 100_000


def speed(data: Path, seeds: int) -> Iterator[tuple[dict[str, Any], Callable[[], dict[str, Any]]]]:
    """Latency on a setting and ImageNet accuracy of the same candidates, batches of 100,000, one thread."""
    space = get_space("ofa-mobilenetv3-w1.0")
    accuracies = read_measurements(data / "ofa" / "accuracy_imagenet.csv", space, "accuracy_top1")
    genomes = np.random.default_rng(0).integers(0, space.choice_counts, (_BATCH, len(space.genes)))
    for setting, size, model in (
        ("titan_rtx_64", 100, "linear"),
        ("titan_rtx_64", 100, "auto"),
        ("v100_32", 300, "auto"),
        ("titan_rtx_1", 1000, "auto"),
    ):
        latencies = read_measurements(data / "ofa" / "latency_gpus.csv", space, f"latency_ms:{setting}")
        for seed in range(seeds):

            def made(
                latencies: Measurements = latencies, size: int = size, seed: int = seed, model: str = model
            ) -> dict[str, Any]:
                order = np.random.default_rng(seed).permutation(len(accuracies.values))
                rows = np.random.default_rng(seed).permutation(len(latencies.values))
                fits, tests = [], []
                for some, metric, train, test in (
                    (latencies, "latency_ms", rows[1000:][:size], rows[:1000]),
                    (accuracies, "accuracy_top1", order[300:], order[:300]),
                ):
                    known, values = some.candidates[train], some.values[train]
                    fits.append(fit_predictor(space, known, values, metric=metric, model=model))
                    tests.append((some.candidates[test], some.values[test]))
                return _figures(fits, tests, genomes)

            yield {"part": "speed", "setting": setting, "size": size, "seed": seed, "model": model}, made


def _figures(
    fits: list[FittedPredictor], tests: list[tuple[Candidates, Floats]], genomes: Ints
) -> dict[str, Any]:
    from scipy.stats import kendalltau

    started = time.process_time()
    fast = distill(fits, np.random.default_rng(0))
    figures: dict[str, Any] = {"distil_cpu_s": time.process_time() - started, "kept": fast.kept}
    figures["fast_a_second"] = max(len(genomes) / _seconds(lambda: fast.means(genomes)) for _ in range(3))
    few = genomes[:5000]
    plain_s = _seconds(lambda: [one.mean(Candidates.of_genomes(one.space, few)) for one in fits])
    figures["plain_a_second"] = len(few) / plain_s
    for at, (name, one, (some, truth)) in enumerate(zip(("latency", "accuracy"), fits, tests, strict=True)):
        student = fast.means(some.genomes)[:, at]
        figures[f"{name}_tau"] = float(kendalltau(one.mean(some), truth).statistic)
        figures[f"{name}_tau_fast"] = float(kendalltau(student, truth).statistic)
    return figures


def _seconds(call: Callable[[], object]) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started
