"""Tuning of Gaussian processes: hyperparameters, outliers, and noise that is not alike everywhere.

Length scales, amplitudes and noise maximise the marginal likelihood under weak priors, so that five
points do not overfit.

Source: Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), equation 5.9 (gradient).
"""

import numpy as np

from hwnas.predictors.features import Floats
from hwnas.predictors.gp import (
    CONSTANT,
    JITTER,
    Hyperparameters,
    Posterior,
    Training,
    matern,
    squared_distances,
)

# Hyperparameters are tuned on at most so many points (the cost is cubic); all points are then kept.
TUNING_POINTS = 300
# Outliers are weighed as by a Student-t of so many degrees of freedom, in so many rounds.
_NU, _ROUNDS = 4.0, 3
# Prior amplitude of what is rough, for targets of unit variance.
_ROUGH = 0.1
# Noise may grow e-fold a unit of its scale at the most; a slope is worth so many measurements.
_STEEPEST, _SLOPELESS = 2.0, 30.0


def fit_posterior(
    training: Training,
    rng: np.random.Generator,
    *,
    noise: float | None = None,
    robust: bool = False,
    scale: Floats | None = None,
    start: Hyperparameters | None = None,
) -> tuple[Posterior, float]:
    """Returns the posterior at the most likely hyperparameters, and how noise grows with `scale`.

    Args:
        training: the points; `spread` is what is known of their noise beforehand.
        rng: chooses the points hyperparameters are tuned on, where there are many.
        noise: the standard deviation that the noise is believed to have; None: no idea.
        robust: weigh outliers down.
        scale: [N], what noise may grow or fade with, exponentially; None: it is alike everywhere.
        start: hyperparameters of a like problem: fewer steps are then taken.
    """
    prior = _prior(training, noise)
    hyper = start or prior
    n, known = len(training.targets), training.spread
    rows = np.sort(rng.permutation(n)[:TUNING_POINTS])
    posterior, slope = Posterior(training, hyper), 0.0
    for round_ in range(_ROUNDS if robust else 1):
        steps = 40 if round_ == 0 and start is None else 15
        tuned = _tuned(training.at(rows), hyper, prior, steps)
        posterior, hyper = Posterior(training, tuned), tuned
        if robust:
            residuals = posterior.left_out() / np.sqrt(known)
            trend = np.ones(n)
            if scale is not None:
                slope = noise_slope(residuals, scale)
                trend = np.exp(2 * slope * scale)
            residuals = residuals / np.sqrt(trend)
            typical = 1.4826 * np.median(np.abs(residuals)) + 1e-9
            heavier = np.maximum((_NU + np.square(residuals / typical)) / (_NU + 1), 1.0)
            training = training.spread_by(known * trend * heavier)
    return Posterior(training, hyper), slope


def noise_slope(residuals: Floats, scale: Floats) -> float:
    """Returns by how much the logarithm of residuals' size [N] rises with a scale [N], 0 if unclear.

    The slope is drawn towards 0 as by so many measurements that show none.
    """
    size = np.log(np.abs(residuals) + 1e-3 * np.median(np.abs(residuals)) + 1e-12)
    away = scale - scale.mean()
    slope = float(away @ (size - size.mean())) / (float(away @ away) + _SLOPELESS * float(away.var()) + 1e-12)
    return float(np.clip(slope, -_STEEPEST, _STEEPEST))


def _prior(training: Training, noise: float | None) -> Hyperparameters:
    sizes = [np.bincount(part.groups) for part in training.parts]
    lengths = [2 * part.reach * np.sqrt(size) for part, size in zip(training.parts, sizes, strict=True)]
    amplitudes = [0.7 if part.reach == 1 else _ROUGH for part in training.parts]
    return Hyperparameters(
        smooth=tuple(float(np.log(value)) for value in amplitudes),
        linear=(float(np.log(0.4)),) * len(training.linear),
        noise=float(np.log(0.3 if noise is None else np.clip(noise, 1e-3, 3.0))),
        lengths=tuple(float(np.log(value)) for some in lengths for value in some),
    )


def _tuned(training: Training, start: Hyperparameters, prior: Hyperparameters, steps: int) -> Hyperparameters:
    from scipy.optimize import minimize

    center = prior.to_vector()
    distances = [
        [within(part.of(training.smooth)[:, part.groups == group]) for group in range(part.num_lengths)]
        for part in training.parts
    ]

    def loss(vector: Floats) -> tuple[float, Floats]:
        value, gradient = negative_likelihood(vector, training, distances)
        away = vector - center
        return value + 0.5 * float(away @ away), gradient + away

    result = minimize(
        loss,
        start.to_vector(),
        jac=True,
        method="L-BFGS-B",
        bounds=[(middle - 5, middle + 5) for middle in center],
        options={"maxiter": steps},
    )
    return Hyperparameters.of_vector(result.x, len(prior.smooth), len(prior.linear))


def negative_likelihood(
    vector: Floats, training: Training, distances: list[list[Floats]]
) -> tuple[float, Floats]:
    """Returns minus the log marginal likelihood, up to a constant, and its gradient."""
    from scipy.linalg.lapack import dpotri

    hyper = Hyperparameters.of_vector(vector, len(training.parts), len(training.linear))
    n = len(training.targets)
    smooth, noise = np.exp(2 * np.array(hyper.smooth)), np.exp(2 * hyper.noise)
    linear = np.exp(2 * np.array(hyper.linear))
    shrink = [np.exp(-2 * lengths) for lengths in hyper.lengths_of(training.parts)]
    curves = [matern(np.tensordot(s, d, axes=1)) for s, d in zip(shrink, distances, strict=True)]
    covariance = np.full((n, n), CONSTANT)
    for amplitude, (curve, _) in zip(smooth, curves, strict=True):
        covariance += amplitude * curve
    for amplitude, gram in zip(linear, training.linear, strict=True):
        covariance += amplitude * gram
    covariance[np.diag_indices(n)] += noise * training.spread + JITTER
    factor = np.linalg.cholesky(covariance)
    lower = np.tril(dpotri(factor, lower=1)[0])
    inverse = lower + np.tril(lower, -1).T
    weights = inverse @ training.targets
    value = 0.5 * training.targets @ weights + np.log(np.diag(factor)).sum()
    inner = 0.5 * (inverse - np.outer(weights, weights))
    gradient = [2 * a * np.vdot(inner, curve) for a, (curve, _) in zip(smooth, curves, strict=True)]
    gradient += [2 * a * np.vdot(inner, gram) for a, gram in zip(linear, training.linear, strict=True)]
    gradient.append(2 * noise * (np.diag(inner) @ training.spread))
    for amplitude, (_, slope), scales, some in zip(smooth, curves, shrink, distances, strict=True):
        bent = inner * slope * amplitude
        gradient += [-2 * s * np.vdot(bent, distance) for s, distance in zip(scales, some, strict=True)]
    return float(value), np.array(gradient, dtype=np.float64)


def within(points: Floats) -> Floats:
    """Returns the squared distances [n, n] among points [n, F]."""
    return squared_distances(points, points)
