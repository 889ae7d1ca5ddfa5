from pathlib import Path

import numpy as np
import pytest

from hwnas.errors import InputError
from hwnas.predictors import fit_predictor, load_predictor, score
from hwnas.predictors.features import totals
from hwnas.predictors.overlap import fit_overlapped
from hwnas.predictors.physics import fit_physics
from hwnas.spaces import Space
from tests.predictors.truth import drawn, true_accuracy, true_latency_ms


def test_ten_measurements_and_a_like_device_beat_ten_alone(demo: Space, tmp_path: Path) -> None:
    known, fresh = drawn(demo, 150, 0), drawn(demo, 300, 1)
    # The new device is the known one at twice the price, with a launch that costs more.
    source = fit_predictor(demo, known, true_latency_ms(known, 3))
    truth = 2 * true_latency_ms(fresh, 3, noise=0.0) + 0.004 * totals(fresh)[:, 2] / 100
    errors: dict[bool, list[float]] = {False: [], True: []}
    for seed in range(3):
        few = drawn(demo, 10, 10 + seed)
        values = 2 * true_latency_ms(few, 3, noise=0.0) + 0.004 * totals(few)[:, 2] / 100
        for given in (False, True):
            predictor = fit_predictor(demo, few, values, sources=[source] if given else [])
            errors[given].append(score(predictor.predict(fresh), truth).mape_percent or 0.0)
    assert np.mean(errors[True]) < 0.6 * np.mean(errors[False])
    assert predictor.model.endswith("+sources")
    predictor.save(tmp_path / "p.json")
    again = load_predictor(tmp_path / "p.json")
    np.testing.assert_array_equal(again.predict(fresh).high, predictor.predict(fresh).high)


def test_sources_are_not_for_accuracies(demo: Space) -> None:
    candidates = drawn(demo, 12, 4)
    source = fit_predictor(demo, candidates, true_latency_ms(candidates, 0), model="physics")
    with pytest.raises(InputError, match="not accuracies"):
        fit_predictor(
            demo, candidates, true_accuracy(candidates, 0), metric="accuracy_top1", sources=[source]
        )


def test_a_device_that_waits_for_launches_is_priced_by_the_longer_side(demo: Space, tmp_path: Path) -> None:
    candidates, fresh = drawn(demo, 120, 5), drawn(demo, 200, 6)

    def true(some: np.ndarray) -> np.ndarray:
        launching = 0.01 * some[:, 2]
        computing = some[:, 4:6].sum(axis=1) * np.median(launching) / np.median(some[:, 4:6].sum(axis=1))
        return np.asarray(np.maximum(launching, computing))

    values, truth = true(totals(candidates)), true(totals(fresh))
    own = fit_physics(totals(candidates), values)
    both = fit_overlapped(own, totals(candidates), values, 8.0)
    error = [np.abs(one.expect(totals(fresh), fresh) / truth - 1).mean() for one in (own, both)]
    assert error[1] < 0.6 * error[0]
    predictor = fit_predictor(demo, candidates, values, model="physics")
    predictor.save(tmp_path / "p.json")
    again = load_predictor(tmp_path / "p.json")
    np.testing.assert_array_equal(again.mean(fresh), predictor.mean(fresh))
    assert np.abs(predictor.mean(fresh) / truth - 1).mean() < 0.7 * error[0]
