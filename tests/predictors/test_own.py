"""Regressors of others: what goes wrong in them is told in one line, and what they give is checked."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from hwnas.errors import InputError
from hwnas.predictors import Regressor, fit_predictor
from hwnas.spaces import Candidates, Space
from tests.predictors.truth import drawn, true_latency_ms


class Mean(Regressor):
    """The mean target, whatever the candidate."""

    def __init__(self, target: float) -> None:
        self.target = target

    @staticmethod
    def fit(candidates: Candidates, targets: Any, seed: int) -> "Mean":
        return Mean(float(targets.mean()))

    def mean(self, candidates: Candidates) -> Any:
        return np.full(len(candidates), self.target)


class Wrong(Mean):
    """One number too few."""

    @staticmethod
    def fit(candidates: Candidates, targets: Any, seed: int) -> "Wrong":
        return Wrong(0.0)

    def mean(self, candidates: Candidates) -> Any:
        return np.zeros(len(candidates) - 1)


class Unsure(Mean):
    """As unsure of each as it is large."""

    def deviation(self, candidates: Candidates) -> Any:
        return candidates.costs().macs / 1e6

    @staticmethod
    def fit(candidates: Candidates, targets: Any, seed: int) -> "Unsure":
        return Unsure(float(targets.mean()))

    def to_json(self) -> dict[str, Any]:
        return {"target": np.float32(self.target)}


class Watching(Mean):
    """Remembers with how many threads of linear algebra it was fitted."""

    seen: ClassVar[set[int]] = set()

    @staticmethod
    def fit(candidates: Candidates, targets: Any, seed: int) -> "Watching":
        Watching.seen |= blas_threads()
        return Watching(float(targets.mean()))


def blas_threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def fitted(space: Space, model: type[Regressor]) -> Any:
    candidates = drawn(space, 40, 0, mixed=False)
    return fit_predictor(space, candidates, true_latency_ms(candidates, 0), model=model)


def test_a_class_is_fitted_with_calibrated_intervals(demo: Space) -> None:
    fresh = drawn(demo, 400, 1, mixed=False)
    prediction = fitted(demo, Mean).predict(fresh)
    truth = true_latency_ms(fresh, 1)
    # What the class says is a factor on what physics expects: without any skill it is still good.
    assert np.mean(np.abs(prediction.mean / truth - 1)) < 0.25
    assert np.mean((prediction.low <= truth) & (truth <= prediction.high)) > 0.8


def test_a_fit_takes_one_thread_of_linear_algebra_and_gives_the_others_back(demo: Space) -> None:
    with threadpool_limits(limits=2, user_api="blas"):
        fitted(demo, Watching)
        after = blas_threads()
    assert Watching.seen == {1}
    assert after == {2}


def test_its_deviations_widen_intervals_where_it_is_unsure(demo: Space) -> None:
    fresh = drawn(demo, 100, 1, mixed=False)
    prediction = fitted(demo, Unsure).predict(fresh)
    macs = fresh.costs().macs
    width = np.log(prediction.high / prediction.low)
    np.testing.assert_allclose(width / macs, (width / macs)[0], rtol=1e-6)


def test_too_few_numbers_are_refused_by_name(demo: Space) -> None:
    with pytest.raises(InputError, match="mean of predictor 'Wrong' must be"):
        fitted(demo, Wrong).predict(drawn(demo, 5, 1, mixed=False))


def test_a_class_that_cannot_be_saved_says_so(demo: Space, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Mean has no to_json"):
        fitted(demo, Mean).save(tmp_path / "p.json")
    with pytest.raises(InputError, match="finite JSON values"):
        fitted(demo, Unsure).save(tmp_path / "p.json")
    assert not (tmp_path / "p.json").exists()
