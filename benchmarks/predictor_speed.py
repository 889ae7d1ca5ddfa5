"""Candidates a CPU second, from genomes to both objectives, and what distilling costs in rank."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.predictors import distill, fit_predictor, read_measurements
from hwnas.spaces import Candidates, get_space

_BATCH = 100_000


def speed(data: Path, seeds: int) -> Iterator[tuple[dict[str, Any], Callable[[], dict[str, Any]]]]:
    """Latency on a setting and ImageNet accuracy of the same candidates, batches of 100,000, one thread."""
    from scipy.stats import kendalltau

    space = get_space("ofa-mobilenetv3-w1.0")
    accuracies = read_measurements(data / "ofa" / "accuracy_imagenet.csv", space, "accuracy_top1")
    order = np.random.default_rng(0).permutation(len(accuracies.values))
    held, used = order[:300], order[300:]
    genomes = np.random.default_rng(0).integers(0, space.choice_counts, (_BATCH, len(space.genes)))
    for setting, size, model in (
        ("titan_rtx_64", 100, "linear"),
        ("titan_rtx_64", 100, "auto"),
        ("v100_32", 300, "auto"),
        ("titan_rtx_1", 1000, "auto"),
    ):

        def made(setting: str = setting, size: int = size, model: str = model) -> dict[str, Any]:
            one = read_measurements(data / "ofa" / "latency_gpus.csv", space, f"latency_ms:{setting}")
            rows = np.random.default_rng(0).permutation(5000)
            test, train = rows[:1000], rows[1000:][:size]
            latency = fit_predictor(space, one.candidates[train], one.values[train], model=model)
            quality = fit_predictor(
                space,
                accuracies.candidates[used],
                accuracies.values[used],
                metric="accuracy_top1",
                model=model,
            )
            started = time.process_time()
            fast = distill([latency, quality], np.random.default_rng(0))
            taken = time.process_time() - started
            figures: dict[str, Any] = {"distil_cpu_s": taken, "kept": fast.kept}
            rates = [_rate(lambda: fast.means(genomes)) for _ in range(3)]
            figures["fast_a_second"] = max(rates)
            few = genomes[:5000]
            figures["plain_a_second"] = len(few) / _seconds(
                lambda: [p.mean(Candidates.of_genomes(space, few)) for p in (latency, quality)]
            )
            for name, predictor, some, truth, at in (
                ("latency", latency, one.candidates[test], one.values[test], 0),
                ("accuracy", quality, accuracies.candidates[held], accuracies.values[held], 1),
            ):
                plain, student = predictor.mean(some), fast.means(some.genomes)[:, at]
                figures[f"{name}_tau"] = float(kendalltau(plain, truth).statistic)
                figures[f"{name}_tau_fast"] = float(kendalltau(student, truth).statistic)
            return figures

        yield {"part": "speed", "setting": setting, "size": size, "seed": 0, "model": model}, made


def _rate(call: Callable[[], object]) -> float:
    return _BATCH / _seconds(call)


def _seconds(call: Callable[[], object]) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started
