"""`hwnas search` on predictors: targets beside files, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hwnas.predictors import fit_predictor
from hwnas.spaces import Candidates, get_space

from .conftest import Ran


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    space = get_space("demo")
    candidates = Candidates.of_genomes(space, space.sample_genomes(40, np.random.default_rng(0)))
    macs = candidates.costs().macs
    accuracy, latency = 95 - 30 * np.exp(-macs / 2.5e6), 0.01 + 2e-8 * macs
    fit_predictor(space, candidates, accuracy, metric="accuracy_top1", model="linear").save(
        tmp_path / "acc.json"
    )
    fit_predictor(space, candidates, latency, metric="latency_ms", model="linear").save(tmp_path / "lat.json")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_target_beside_a_file_is_kept(hwnas: Callable[..., Ran], files: Path) -> None:
    words = ("search", "--accuracy-predictor", "acc.json", "--latency-predictor", "lat.json=80us")
    ran = hwnas(*words, "--method", "exact", "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["target_latency_ms"] == pytest.approx(0.08)
    assert found["run"] == "runs/demo-80us-predicted"
    assert found["candidates"]
    assert all(one["latency_ms"]["lat"]["p95"] <= 0.08 for one in found["candidates"])
    told = hwnas(*words, "--method", "exact")
    assert "front within 80us (p95)" in told.out
    assert "accuracies are predicted" in told.err
    assert "100.00 % of the exact one's" in told.err


def test_what_cannot_be_searched_is_refused_in_one_line(hwnas: Callable[..., Ran], files: Path) -> None:
    predictors = ("--accuracy-predictor", "acc.json", "--latency-predictor", "lat.json")
    for words, code, says in [
        (predictors, 2, "needs a limit"),
        ((*predictors, "--target-latency", "1us"), 3, "raise --target-latency"),
        (("--latency-predictor", "lat.json=1ms"), 2, "needs an --accuracy-predictor"),
        (("--accuracy-predictor", "acc.json", "--target-latency", "1ms"), 2, "needs --latency-predictor"),
        ((*predictors, "--target-latency", "1ms", "--device", "cpu-ort"), 2, "'cpu-ort' cannot be used"),
        ((*predictors, "--objectives", "accuracy,beauty"), 2, "'beauty'"),
        ((*predictors, "--target-energy", "1mJ"), 2, "has no energies"),
    ]:
        ran = hwnas("search", *words)
        assert ran.code == code, (words, ran.err)
        lines = ran.err.strip().splitlines()
        assert says in lines[-1], ran.err
        assert "Traceback" not in ran.err
