import numpy as np
import pytest

from hwnas.errors import InputError
from hwnas.predictors import first_to_measure, fit_predictor, next_to_measure, score
from hwnas.spaces import Space
from tests.predictors.truth import drawn, true_accuracy, true_latency_ms


def test_chosen_networks_teach_more_than_random_ones(demo: Space) -> None:
    pool, fresh = drawn(demo, 400, 0), drawn(demo, 300, 1)
    truth = true_latency_ms(fresh, 0)
    errors: dict[str, list[float]] = {"random": [], "chosen": []}
    for seed in range(4):
        rng = np.random.default_rng(seed)
        some = {"random": rng.permutation(400)[:10], "chosen": first_to_measure(pool, 10, rng)}
        for how, rows in some.items():
            assert len(set(rows.tolist())) == 10
            fitted = fit_predictor(demo, pool[rows], true_latency_ms(pool, 0)[rows], model="linear")
            errors[how].append(score(fitted.predict(fresh), truth).mape_percent or 0.0)
    assert np.mean(errors["chosen"]) < np.mean(errors["random"])


def test_the_next_lie_near_the_target_and_the_front(demo: Space) -> None:
    known, pool = drawn(demo, 25, 2), drawn(demo, 600, 3)
    latency = fit_predictor(demo, known, true_latency_ms(known, 0))
    quality = fit_predictor(demo, known, true_accuracy(known, 0), metric="accuracy_top1")
    expected, accuracy = latency.mean(pool), quality.mean(pool)
    target = float(np.quantile(expected, 0.4))
    rows = next_to_measure(latency, quality, pool, 20, target=target)
    assert len(set(rows.tolist())) == 20
    away = np.abs(np.log(expected / target))
    assert np.median(away[rows]) < 0.5 * np.median(away)
    order = np.argsort(expected)
    behind = np.empty(600)
    behind[order] = np.maximum.accumulate(accuracy[order]) - accuracy[order]
    assert np.median(behind[rows]) < np.median(behind)
    assert len(next_to_measure(latency, quality, pool, 5)) == 5


def test_numbers_that_make_no_sense_are_refused(demo: Space) -> None:
    pool = drawn(demo, 12, 4)
    latency = fit_predictor(demo, pool, true_latency_ms(pool, 0), model="physics")
    for n in (0, 13):
        with pytest.raises(InputError, match="from 1 to 12"):
            first_to_measure(pool, n, np.random.default_rng(0))
        with pytest.raises(InputError, match="from 1 to 12"):
            next_to_measure(latency, latency, pool, n)
    with pytest.raises(InputError, match="above zero"):
        next_to_measure(latency, latency, pool, 2, target=0.0)
