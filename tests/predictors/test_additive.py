import numpy as np
import pytest

from hwnas.errors import InputError
from hwnas.predictors import additive_terms, fit_predictor
from hwnas.spaces import Candidates, Space, get_space
from tests.predictors.truth import drawn, true_accuracy, true_latency_ms

SPACES = ["demo", "ofa-mobilenetv3-w1.0", "ofa-proxyless-w1.3"]


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("model", ["linear", "physics"])
def test_sums_of_latency_tables_are_the_predictions(name: str, model: str) -> None:
    space = get_space(name)
    candidates, fresh = drawn(space, 40, 0), drawn(space, 60, 1)
    predictor = fit_predictor(space, candidates, true_latency_ms(candidates, 0), model=model)
    terms = additive_terms(predictor)
    assert terms.exact
    np.testing.assert_allclose(terms.to_metric(terms.sums(fresh)), predictor.mean(fresh), rtol=1e-9)


@pytest.mark.parametrize("name", SPACES)
def test_sums_of_accuracy_tables_are_the_predictions_at_any_bits(name: str) -> None:
    space = get_space(name)
    candidates, fresh = drawn(space, 60, 2, mixed=True), drawn(space, 60, 3, mixed=True)
    accuracy = true_accuracy(candidates, 0)
    predictor = fit_predictor(space, candidates, accuracy, metric="accuracy_top1", model="linear")
    terms = additive_terms(predictor)
    np.testing.assert_allclose(terms.to_metric(terms.sums(fresh)), predictor.mean(fresh), rtol=1e-9)


def test_mixed_bits_are_low_by_what_borders_cost_and_the_terms_say_so(demo: Space) -> None:
    candidates, fresh = drawn(demo, 60, 4, mixed=True), drawn(demo, 60, 5, mixed=True)
    latency = true_latency_ms(candidates, 0) + 0.002 * np.arange(60)
    predictor = fit_predictor(demo, candidates, latency, model="linear")
    terms = additive_terms(predictor)
    mean, summed = predictor.mean(fresh), terms.to_metric(terms.sums(fresh))
    if terms.exact:
        np.testing.assert_allclose(summed, mean, rtol=1e-9)
    else:
        assert (summed <= mean * (1 + 1e-9)).all()
    uniform = Candidates.of_genomes(demo, fresh.genomes, 8, 8)
    plain = Candidates.of_genomes(demo, fresh.genomes)
    np.testing.assert_allclose(terms.to_metric(terms.sums(plain)), predictor.mean(plain), rtol=1e-9)
    assert (terms.to_metric(terms.sums(uniform)) <= predictor.mean(uniform) * (1 + 1e-9)).all()


def test_links_never_fall(demo: Space) -> None:
    candidates = drawn(demo, 40, 6)
    for metric, truth in (("latency_ms", true_latency_ms), ("accuracy_top1", true_accuracy)):
        values = truth(candidates, 0)
        terms = additive_terms(fit_predictor(demo, candidates, values, metric=metric, model="linear"))
        assert (np.diff(terms.to_metric(np.linspace(-50, 50, 999))) >= 0).all()


def test_a_predictor_that_is_no_sum_is_refused(demo: Space) -> None:
    candidates = drawn(demo, 40, 7)
    predictor = fit_predictor(demo, candidates, true_latency_ms(candidates, 0), model="gp")
    with pytest.raises(InputError, match="fit it with model 'linear'"):
        additive_terms(predictor)
