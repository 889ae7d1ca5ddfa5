"""Against public measurements of real devices and networks, where they are."""

import csv
import json

import numpy as np
import pytest

from hwnas.predictors import fit_and_score, score
from hwnas.spaces import Candidates, Space
from tests.predictors.truth import public


def _read(name: str, column: str, space: Space, rows: np.ndarray) -> tuple[Candidates, np.ndarray]:
    with open(public(name), newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    chosen = [lines[row] for row in rows]
    candidates = Candidates.of_json(space, [json.loads(line["architecture"]) for line in chosen])
    return candidates, np.array([float(line[column]) for line in chosen])


@pytest.mark.parametrize(
    ("setting", "limit_percent"), [("titan_rtx_1", 3.6), ("titan_rtx_64", 1.2), ("v100_32", 4.5)]
)
def test_latencies_of_gpus_from_a_hundred_measurements(
    ofa: Space, setting: str, limit_percent: float
) -> None:
    permutation = np.random.default_rng(0).permutation(5000)
    train = np.random.default_rng(100).permutation(permutation[1000:])[:100]
    rows = np.concatenate([train, permutation[:500]])
    candidates, latency = _read("ofa/latency_gpus.csv", f"latency_ms:{setting}", ofa, rows)
    fitted = fit_and_score(ofa, candidates[:100], latency[:100])
    got = score(fitted.predictor.predict(candidates[100:]), latency[100:])
    assert got.mape_percent is not None
    assert got.mape_percent <= limit_percent
    assert 0.83 <= got.coverage_90 <= 0.99


def test_imagenet_accuracies_from_a_hundred_evaluations(ofa: Space) -> None:
    candidates, accuracy = _read("ofa/accuracy_imagenet.csv", "accuracy_top1", ofa, np.arange(1458))
    first = candidates.first_of_each()
    candidates, accuracy = candidates[first], accuracy[first]
    order = np.random.default_rng(0).permutation(len(first))
    test, train = order[:250], order[250:350]
    fitted = fit_and_score(ofa, candidates[train], accuracy[train], metric="accuracy_top1")
    got = score(fitted.predictor.predict(candidates[test]), accuracy[test])
    assert got.kendall_tau is not None
    assert got.kendall_tau >= 0.93
    assert got.rmse <= 0.13
