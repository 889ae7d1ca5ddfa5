import numpy as np
import pytest

from hwnas.predictors import distill, fit_predictor, fit_quantized
from hwnas.predictors.bases import Inputs
from hwnas.predictors.features import encoding
from hwnas.predictors.gaussian import GaussianProcess
from hwnas.predictors.gp import matern, squared_distances
from hwnas.predictors.inducing import Inducing, parts_of
from hwnas.spaces import FLOAT_BITS, Space
from tests.predictors.truth import drawn, true_accuracy


def process(space: Space) -> GaussianProcess:
    candidates = drawn(space, 120, 0, mixed=False)
    model = fit_predictor(space, candidates, true_accuracy(candidates, 0), metric="accuracy_top1", model="gp")
    assert isinstance(model.regressor, GaussianProcess)
    return model.regressor


def test_features_are_correlations_with_the_points() -> None:
    rng = np.random.default_rng(0)
    points, sums = rng.standard_normal((7, 3)), rng.standard_normal((5, 6)).astype(np.float32)
    part = Inducing.at(2, points, rng.standard_normal((7, 1)), slice(1, 2))
    expected = matern(squared_distances(sums[:, 2:5].astype(np.float64), points) * 3 / 5)[0]
    np.testing.assert_allclose(part.features(sums), expected, atol=1e-5)
    out = np.zeros((5, 2))
    part.add(out, sums)
    np.testing.assert_allclose(out[:, 1], (expected @ part.weights)[:, 0], atol=1e-4)
    assert not out[:, 0].any()


def test_a_point_is_all_alike_to_itself_however_far_from_the_others() -> None:
    points = np.array([[0.0, 0.0], [300.0, 0.0]])
    part = Inducing.at(0, points, np.zeros((2, 1)), slice(1))
    features = part.features(points.astype(np.float32))
    np.testing.assert_allclose(features, np.eye(2), atol=1e-3)


def test_rough_parts_with_their_known_weights_are_what_the_process_adds(demo: Space) -> None:
    model, fresh = process(demo), drawn(demo, 50, 1, mixed=False)
    parts = parts_of(model, drawn(demo, 500, 2, mixed=False), np.random.default_rng(0))
    terms = model.smooth_terms()
    assert [part.weights is not None for part in parts] == [term.is_rough for term in terms]
    assert any(term.is_rough for term in terms)
    training = model.design.training.encoding
    for part, term in zip(parts, terms, strict=True):
        if part.weights is None:
            continue
        whole = matern(squared_distances(encoding(fresh) @ term.way, training @ term.way))[0] @ term.weights
        coordinates = (part.way[0] + encoding(fresh) @ part.way[1:]).astype(np.float32)
        out = np.zeros((len(fresh), 1))
        Inducing.at(0, part.points, part.weights[:, None], slice(1)).add(out, coordinates)
        np.testing.assert_allclose(out[:, 0], whole, atol=1e-3 * model.mean(Inputs(fresh)).std())


def test_processes_on_other_features_have_no_such_parts(demo: Space) -> None:
    candidates = drawn(demo, 60, 0, mixed=False)
    linear = fit_predictor(
        demo, candidates, true_accuracy(candidates, 0), metric="accuracy_top1", model="linear"
    )
    assert parts_of(linear.regressor, candidates, np.random.default_rng(0)) == []


@pytest.mark.parametrize("seed", [0, 1])
def test_an_accuracy_predictor_keeps_its_order_when_distilled(demo: Space, seed: int) -> None:
    candidates, fresh = drawn(demo, 150, seed, mixed=False), drawn(demo, 500, seed + 10, mixed=False)
    model = fit_predictor(
        demo, candidates, true_accuracy(candidates, seed), metric="accuracy_top1", model="gp"
    )
    fast = distill(model, np.random.default_rng(seed))
    assert fast.kept[0] > 0.99
    np.testing.assert_allclose(fast.means(fresh.genomes)[:, 0], model.mean(fresh), atol=0.1)


def test_an_adapted_predictor_keeps_its_order_over_bits_when_distilled(demo: Space) -> None:
    candidates, triples = drawn(demo, 100, 0, mixed=False), drawn(demo, 60, 1, mixed=True)
    base = fit_predictor(demo, candidates, true_accuracy(candidates, 0), metric="accuracy_top1", model="gp")
    adapted = fit_quantized(base, triples, true_accuracy(triples, 1)).predictor
    fast = distill(adapted, np.random.default_rng(0), bits=(FLOAT_BITS, 8))
    assert fast.kept[0] > 0.99
    fresh = drawn(demo, 300, 2, mixed=True)
    means = fast.means(fresh.genomes, fresh.weight_bits, fresh.activation_bits)[:, 0]
    assert np.sqrt(np.mean(np.square(means - adapted.mean(fresh)))) < 0.1
