import numpy as np

from hwnas.predictors.features import totals
from hwnas.predictors.physics import PRICES, Physics, fit_physics
from hwnas.spaces import Candidates, Space
from tests.predictors.truth import drawn


def _device() -> Physics:
    prices = dict.fromkeys(PRICES, 0.0) | {
        "constant": 5e-3,
        "launches": 1e-3,
        "convolution": 1e-8,
        "depthwise": 5e-8,
        "activation_bytes": 1e-8,
        "launches_quantized": 2e-3,
        "convolution_quantized": 4e-9,
        "depthwise_quantized": 4e-8,
        "activation_bytes_quantized": 1e-8,
        "border_tensors": 1e-3,
    }
    return Physics(np.array([prices[name] for name in PRICES]), floor=1e-6)


def test_finds_a_device_that_is_all_physics(demo: Space) -> None:
    table = totals(drawn(demo, 200, 0, mixed=True))
    truth = _device().predict(table)
    found = fit_physics(table[:80], truth[:80]).predict(table[80:])
    assert np.abs(found / truth[80:] - 1).max() < 0.02


def test_one_wild_outlier_changes_little(demo: Space) -> None:
    table = totals(drawn(demo, 200, 0))
    truth = _device().predict(table)
    measured = truth[:40].copy()
    measured[3] *= 5
    found = fit_physics(table[:40], measured).predict(table[40:])
    assert np.abs(found / truth[40:] - 1).max() < 0.03


def test_more_work_never_costs_less(demo: Space) -> None:
    rng = np.random.default_rng(0)
    table = totals(drawn(demo, 6, 0, mixed=True))
    found = fit_physics(table, rng.lognormal(size=6))
    assert (found.prices >= 0).all()


def test_float_measurements_price_quantized_work_too(demo: Space) -> None:
    genomes = demo.sample_genomes(40, np.random.default_rng(0))
    plain, quantized = (totals(Candidates.of_genomes(demo, genomes, bits, bits)) for bits in (32, 8))
    truth = _device().predict(plain)
    found = fit_physics(plain, truth).predict(quantized)
    assert (found > 0.2 * truth).all()
    assert (found <= 1.01 * truth).all()
