import numpy as np
import pytest

from hwnas.errors import InputError
from hwnas.predictors import FittedPredictor, distill, fit_predictor
from hwnas.predictors.sources import Transferred
from hwnas.spaces import FLOAT_BITS, Candidates, Space
from tests.predictors.truth import drawn, true_accuracy, true_latency_ms


def fitted(space: Space, model: str, mixed: bool = False) -> tuple[FittedPredictor, FittedPredictor]:
    candidates = drawn(space, 60, 0, mixed)
    latency, accuracy = true_latency_ms(candidates, 0), true_accuracy(candidates, 0)
    return (
        fit_predictor(space, candidates, latency, model=model),
        fit_predictor(space, candidates, accuracy, metric="accuracy_top1", model=model),
    )


def test_additive_predictors_distil_exactly(demo: Space) -> None:
    latency, accuracy = fitted(demo, "linear")
    fast = distill([latency, accuracy], np.random.default_rng(0))
    fresh = drawn(demo, 300, 1)
    means = fast.means(fresh.genomes)
    np.testing.assert_allclose(means[:, 0], latency.mean(fresh), rtol=1e-9)
    np.testing.assert_allclose(means[:, 1], accuracy.mean(fresh), rtol=1e-9)
    assert min(fast.kept) > 1 - 1e-4  # ties may fall either way


@pytest.mark.parametrize("mixed", [False, True])
def test_processes_keep_their_order_and_their_bounds(demo: Space, mixed: bool) -> None:
    latency, accuracy = fitted(demo, "gp", mixed)
    bits = (FLOAT_BITS, 8) if mixed else (FLOAT_BITS,)
    fast = distill([latency, accuracy], np.random.default_rng(0), bits=bits)
    fresh = drawn(demo, 400, 1, mixed)
    three = (fresh.genomes, fresh.weight_bits, fresh.activation_bits)
    means, uppers = fast.means(*three), fast.uppers(*three, probability=0.95)
    assert fast.kept[0] > (0.96 if mixed else 0.98)
    assert fast.kept[1] > (0.96 if mixed else 0.98)
    np.testing.assert_allclose(means[:, 0], latency.mean(fresh), rtol=0.05 if mixed else 0.02)
    np.testing.assert_allclose(means[:, 1], accuracy.mean(fresh), atol=0.4)
    ratio = (uppers[:, 0] / means[:, 0] - 1) / (latency.upper(fresh, 0.95) / latency.mean(fresh) - 1)
    assert 0.8 < np.median(ratio) < 1.25
    assert (uppers >= means - 1e-9).all()


@pytest.mark.parametrize("model", ["physics", "gp"])
def test_predictors_that_start_from_other_devices_keep_their_order_and_bounds(
    demo: Space, model: str
) -> None:
    known, some = drawn(demo, 60, 0), drawn(demo, 20, 1)
    sources = [fit_predictor(demo, known, true_latency_ms(known, seed)) for seed in (1, 2)]
    latency = 0.7 * true_latency_ms(some, 1) + 0.4 * true_latency_ms(some, 2)
    transferred = fit_predictor(demo, some, latency, model=model, sources=sources)
    assert isinstance(transferred.physics, Transferred)
    fast = distill(transferred, np.random.default_rng(0))
    assert fast.kept[0] > 0.98
    fresh = drawn(demo, 300, 2)
    np.testing.assert_allclose(fast.means(fresh.genomes)[:, 0], transferred.mean(fresh), rtol=0.03)
    np.testing.assert_allclose(fast.uppers(fresh.genomes)[:, 0], transferred.upper(fresh), rtol=0.05)


def test_genomes_need_not_be_canonical(demo: Space) -> None:
    latency, _ = fitted(demo, "linear")
    fast = distill(latency, np.random.default_rng(0))
    raw = np.random.default_rng(2).integers(0, demo.choice_counts, (200, len(demo.genes)))
    expected = latency.mean(Candidates.of_genomes(demo, raw))
    np.testing.assert_allclose(fast.means(raw)[:, 0], expected, rtol=1e-9)
    assert fast.means(raw[:0]).shape == (0, 1)


def test_what_cannot_be_distilled_together_is_refused(demo: Space, ofa: Space) -> None:
    latency, _ = fitted(demo, "linear")
    candidates = drawn(ofa, 12, 3)
    other = fit_predictor(ofa, candidates, true_latency_ms(candidates, 0), model="physics")
    for wrong in ([], [latency, other]):
        with pytest.raises(InputError, match="one space"):
            distill(wrong, np.random.default_rng(0))
    with pytest.raises(InputError, match="probability"):
        distill(latency, np.random.default_rng(0)).uppers(candidates.genomes[:0], probability=1.0)
