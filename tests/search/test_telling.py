"""What is measured beyond the first evaluations, on devices that are formulas."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from hwnas.predictors import fit_and_score
from hwnas.profilers import Device, Measurement
from hwnas.search.goal import Goal
from hwnas.search.result import Fits
from hwnas.search.run_folder import run_folder
from hwnas.search.settings import SearchSettings
from hwnas.search.telling import at_random, measure_what_tells
from hwnas.search.truth import Latencies
from hwnas.spaces import FLOAT_BITS, Candidates, Space, get_space
from tests.predictors.truth import drawn, true_accuracy, true_latency_ms

from .conftest import FormulaDevice

_TARGET_MS = 0.12


def measured(device: Device, candidates: Candidates) -> Sequence[Measurement]:
    """Measurements of a device whose latencies are `true_latency_ms`."""
    return [
        Measurement(
            subject=key,
            device=device.name,
            fingerprint=device.fingerprint().digest,
            kind="measured",
            latency_ms=value,
            p95_ms=value * 1.05,
            ci_low_ms=value * 0.99,
            ci_high_ms=value * 1.01,
            samples_ms=(value,),
            time="2026-01-01T00:00:00Z",
        )
        for key, value in zip(candidates.ids, true_latency_ms(candidates, 0).tolist(), strict=True)
    ]


@pytest.fixture
def space() -> Space:
    return get_space("demo")


@pytest.fixture
def known(space: Space, tmp_path: Path) -> Latencies:
    """A device that 24 random networks were measured on."""
    with run_folder(tmp_path / "run", {}) as journal:
        one = Latencies(FormulaDevice("one", (32,)), ((FLOAT_BITS, FLOAT_BITS),), measured, journal)
        one.learn(drawn(space, 24, 0))
        yield one  # type: ignore[misc]


def fits_of(one: Latencies) -> Fits:
    accuracies = true_accuracy(one.every, 0)
    quality = fit_and_score(one.every.space, one.every, accuracies, metric="accuracy_top1")
    truth = accuracies, quality.held_out.mean
    return Fits(quality.predictor, quality.score, truth, {one.device.name: one.fit(0, 0.25)})


def told(one: Latencies, settings: SearchSettings) -> bool:
    goal = Goal.of(settings, [one.device.name])
    return measure_what_tells([one], fits_of(one), goal, settings, one.every.space, lambda one: one.every[:4])


def test_the_other_measurements_are_taken_near_the_target(known: Latencies, space: Space) -> None:
    settings = SearchSettings(target_latency_ms=_TARGET_MS, initial_evaluations=24, profile_samples=36)
    assert at_random(known, settings) == 24
    assert told(known, settings)
    assert len(known.known) == 36
    fresh = known.values(known.every)[24:]
    away = np.abs(np.log(fresh * 1.05 / _TARGET_MS))
    others = np.abs(np.log(true_latency_ms(drawn(space, 400, 9), 0) * 1.05 / _TARGET_MS))
    assert np.median(away) < 0.6 * np.median(others)
    assert not told(known, settings)


def test_without_a_target_the_whole_front_counts(known: Latencies) -> None:
    assert told(known, SearchSettings(initial_evaluations=24, profile_samples=30))
    assert len(known.known) == 30


def test_bounds_are_broken_about_as_often_as_asked_and_are_each_candidates_own(
    known: Latencies, space: Space
) -> None:
    known.learn(drawn(space, 80, 1))
    fresh = drawn(space, 400, 2)
    fitted, p95_ms = known.fit(0, 0.25), true_latency_ms(fresh, 0) * 1.05
    bounds = fitted.bounds(fresh)
    assert 0.1 < np.mean(p95_ms > bounds) < 0.4
    assert np.ptp(bounds / fitted.predictor.mean(fresh)) > 1e-3
