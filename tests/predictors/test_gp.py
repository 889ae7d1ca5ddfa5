import numpy as np
import pytest

from hwnas.predictors.features import Floats
from hwnas.predictors.gp import Hyperparameters, Posterior, SmoothPart, Training
from hwnas.predictors.gp_tuning import fit_posterior, negative_likelihood, within

# Logarithms: amplitudes of two smooth parts and a linear one, noise, three length scales.
_AT = np.array([-0.3, -1.1, -0.8, -1.2, 0.4, 0.9, -0.2])


def _training(n: int = 30, seed: int = 0) -> Training:
    rng = np.random.default_rng(seed)
    smooth, rows = rng.standard_normal((n, 3)), rng.standard_normal((n, 5))
    targets = np.sin(smooth[:, 0]) + rows[:, 1] + 0.05 * rng.standard_normal(n)
    targets = (targets - targets.mean()) / targets.std()
    parts = (SmoothPart(0, np.array([0, 0, 1])), SmoothPart(1, np.array([0, 0]), 0.25))
    return Training(smooth, parts, (rows @ rows.T / 5,), targets, np.ones(n))


def _distances(training: Training) -> list[list[Floats]]:
    return [
        [within(part.of(training.smooth)[:, part.groups == group]) for group in range(part.num_lengths)]
        for part in training.parts
    ]


def test_gradient_equals_finite_differences() -> None:
    training = _training(12)
    distances, at = _distances(training), _AT
    gradient = negative_likelihood(at, training, distances)[1]
    for index in range(len(at)):
        step = np.zeros(len(at))
        step[index] = 1e-5
        above, below = (negative_likelihood(at + sign * step, training, distances)[0] for sign in (1, -1))
        assert gradient[index] == pytest.approx((above - below) / 2e-5, rel=1e-5, abs=1e-6)


def test_evidence_is_the_likelihood_that_tuning_climbs() -> None:
    training = _training(12)
    distances, at = _distances(training), _AT
    posterior = Posterior(training, Hyperparameters.of_vector(at, 2, 1))
    assert posterior.log_evidence == pytest.approx(-negative_likelihood(at, training, distances)[0])


def test_left_out_residuals_equal_those_of_leaving_out() -> None:
    training = _training(10)
    hyper = Hyperparameters.of_vector(_AT, 2, 1)
    fast = Posterior(training, hyper).left_out()
    for row in range(10):
        others = np.delete(np.arange(10), row)
        part = Posterior(training.at(others), hyper)
        covariance = part.smooth_part(training.smooth[[row]])
        covariance += np.exp(2 * hyper.linear[0]) * training.linear[0][[row]][:, others]
        mean = (covariance @ part.weights + part.constant)[0]
        assert fast[row] == pytest.approx(training.targets[row] - mean)


def test_an_outlier_weighs_less_when_robust() -> None:
    training = _training(40)
    training.targets[7] += 15
    found, _ = fit_posterior(training, np.random.default_rng(0), robust=True)
    assert found.training.spread.argmax() == 7
    assert found.training.spread[7] > 10


def test_the_belief_about_noise_steers_the_fit() -> None:
    rng = np.random.default_rng(3)
    targets = rng.standard_normal(8)
    parts = (SmoothPart(0, np.zeros(2, dtype=np.int64)),)
    training = Training(rng.standard_normal((8, 2)), parts, (), targets, np.ones(8))
    noisy, exact = (fit_posterior(training, rng, noise=noise)[0].hyper.noise for noise in (1.0, 0.01))
    assert noisy > exact
