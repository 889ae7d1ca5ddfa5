"""Accuracy predictors that are carried over from floating point to few bits."""

import numpy as np
import pytest

from hwnas.errors import InputError
from hwnas.predictors import fit_predictor, fit_quantized, load_predictor, score
from hwnas.spaces import Candidates, get_space

METRIC = "accuracy_top1"


@pytest.fixture(scope="module")
def space():
    return get_space("demo")


def worth(candidates: Candidates, rng: np.random.Generator) -> np.ndarray:
    """An accuracy that every choice moves by its own amount, and bits by a smooth one, with noise."""
    effects = np.random.default_rng(99).normal(0, 1.2, (candidates.genomes.shape[1], 3))
    quality = 85 + np.take_along_axis(effects.T, candidates.genomes, axis=0).sum(axis=1)
    used = candidates.layer_ids >= 0
    sensitivity = np.linspace(0.2, 1.0, len(candidates.space.slots))
    lost = sensitivity * (
        2.0 ** -(candidates.activation_bits - 3) + 0.5 * 2.0 ** -(candidates.weight_bits - 3)
    )
    return quality - (lost * used).sum(axis=1) + rng.normal(0, 0.3, len(candidates))


def quantized(space, n: int, rng: np.random.Generator) -> Candidates:
    return Candidates.of_genomes(
        space, space.sample_genomes(n, rng), *rng.choice([4, 6, 8], size=(2, n, len(space.slots)))
    )


@pytest.fixture(scope="module")
def base(space):
    rng = np.random.default_rng(0)
    floats = Candidates.of_genomes(space, space.sample_genomes(150, rng))
    return fit_predictor(space, floats, worth(floats, rng), metric=METRIC, noise=0.3)


@pytest.fixture(scope="module")
def triples(space):
    rng = np.random.default_rng(1)
    some = quantized(space, 40, rng)
    return some, worth(some, rng)


@pytest.fixture(scope="module")
def adapted(base, triples):
    return fit_quantized(base, *triples, noise=0.3)


def test_a_few_triples_do_more_on_a_base_than_alone(space, base, triples, adapted) -> None:
    rng = np.random.default_rng(2)
    test = quantized(space, 200, rng)
    truth = worth(test, rng)
    alone = fit_predictor(space, *triples, metric=METRIC, noise=0.3)
    from_base, from_scratch = score(adapted.predictor.predict(test), truth), score(alone.predict(test), truth)
    assert from_base.kendall_tau is not None
    assert from_scratch.kendall_tau is not None
    assert from_base.rmse < from_scratch.rmse
    assert from_base.kendall_tau > from_scratch.kendall_tau
    in_float = Candidates.of_genomes(space, test.genomes)
    assert from_base.rmse < 0.5 * score(base.predict(in_float), truth).rmse
    assert from_base.coverage_90 > 0.75


def test_the_score_is_of_triples_that_were_not_fitted(adapted, triples) -> None:
    fitted = adapted.predictor.mean(triples[0])
    assert np.abs(fitted - triples[1]).mean() < np.abs(adapted.held_out.mean - triples[1]).mean()
    assert adapted.score.n == 40


def test_networks_in_floating_point_are_predicted_nearly_as_before(space, base, adapted) -> None:
    some = Candidates.of_genomes(space, space.sample_genomes(50, np.random.default_rng(3)))
    difference = adapted.predictor.mean(some) - base.mean(some)
    assert np.abs(difference).mean() < 0.5


def test_it_is_kept_in_a_file_like_any_other(space, adapted, tmp_path) -> None:
    path = tmp_path / "predictor.json"
    adapted.predictor.save(path)
    loaded = load_predictor(path, space)
    test = quantized(space, 20, np.random.default_rng(4))
    assert loaded.model == "gp+bits"
    np.testing.assert_allclose(loaded.mean(test), adapted.predictor.mean(test), rtol=1e-9)
    np.testing.assert_allclose(loaded.predict(test).low, adapted.predictor.predict(test).low, rtol=1e-9)


def test_what_cannot_be_adapted_is_refused(space, base, triples) -> None:
    some, values = triples
    latency = fit_predictor(space, some, np.linspace(1, 2, len(some)), model="physics")
    with pytest.raises(InputError, match="adapted from an accuracy predictor of model gp or linear"):
        fit_quantized(latency, some, values)
    with pytest.raises(InputError, match="one finite accuracy for each candidate"):
        fit_quantized(base, some, values[:-1])
    with pytest.raises(InputError, match="at least 3 distinct candidates, but got 1"):
        fit_quantized(base, some[[0, 0, 0]], values[:3])
    other = get_space("ofa-mobilenetv3-w1.0")
    with pytest.raises(InputError, match="the predictor to adapt is for"):
        fit_quantized(base, Candidates.of_architectures(other, [other.smallest()] * 3, 8), values[:3])
