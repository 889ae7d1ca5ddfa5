"""Gaussian process regression on smooth and linear features, robust to outliers, in plain numpy.

The covariance is `a² matern(distance) + sum of b² <row, row'> + c²`: a smooth function of a few
features, with one length scale a group of columns, on top of linear functions of many. Length
scales, amplitudes and noise maximise the marginal likelihood under weak priors, so that five points
do not overfit.

Source: Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), algorithm 2.1,
equations 4.17 (Matern 5/2), 5.9 (gradient) and 5.12 (leave-one-out residuals).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwnas.predictors.features import Floats, Ints

# Hyperparameters are tuned on at most so many points (the cost is cubic); all points are then kept.
TUNING_POINTS = 300
# Outliers are weighed as by a Student-t of so many degrees of freedom, in so many rounds.
_NU, _ROUNDS = 4.0, 3
_CONSTANT, _JITTER = 1.0, 1e-8
# Noise may grow e-fold a unit of its scale at the most; a slope is worth so many measurements.
_STEEPEST, _SLOPELESS = 2.0, 30.0


@dataclass(frozen=True, eq=False)
class Hyperparameters:
    """Natural logarithms, for targets of unit variance: smooth, linear [B], noise, lengths [G]."""

    smooth: float
    linear: tuple[float, ...]
    noise: float
    lengths: tuple[float, ...]

    def to_vector(self) -> Floats:
        """Returns all of them in one vector."""
        return np.array([self.smooth, *self.linear, self.noise, *self.lengths])

    @staticmethod
    def of_vector(vector: Floats, num_linear: int) -> "Hyperparameters":
        """Returns the hyperparameters in a vector, given how many are linear amplitudes."""
        values = [float(value) for value in vector]
        end = 1 + num_linear
        return Hyperparameters(values[0], tuple(values[1:end]), values[end], tuple(values[end + 1 :]))


@dataclass(frozen=True, eq=False)
class Training:
    """What a process is conditioned on, everything at unit scale.

    Attributes:
        smooth: float64 [N, F], standardised; groups: int64 [F], from 0.
        linear: the Gram matrices of the linear parts, float64 [N, N] each.
        targets: float64 [N], mean 0 and variance 1.
        spread: float64 [N], variance of each target's noise over that of the typical one.
    """

    smooth: Floats
    groups: Ints
    linear: tuple[Floats, ...]
    targets: Floats
    spread: Floats

    def at(self, rows: Ints) -> "Training":
        """Returns the same for some of the points."""
        grams = tuple(gram[np.ix_(rows, rows)] for gram in self.linear)
        return Training(self.smooth[rows], self.groups, grams, self.targets[rows], self.spread[rows])

    def spread_by(self, spread: Floats) -> "Training":
        """Returns the same with other noise."""
        return Training(self.smooth, self.groups, self.linear, self.targets, spread)


@dataclass(frozen=True, eq=False)
class Posterior:
    """The solved system: what turns covariances with the training points into predictions."""

    training: Training
    hyper: Hyperparameters

    @cached_property
    def inverse_factor(self) -> Floats:
        """The inverse of the covariance's lower Cholesky factor, float64 [N, N]."""
        from scipy.linalg import solve_triangular

        covariance = self.smooth_part(self.training.smooth) + _CONSTANT
        for amplitude, gram in zip(self.hyper.linear, self.training.linear, strict=True):
            covariance += np.exp(2 * amplitude) * gram
        noise = np.exp(2 * self.hyper.noise) * self.training.spread + _JITTER
        covariance[np.diag_indices(len(covariance))] += noise
        factor = np.linalg.cholesky(covariance)
        inverse: Floats = solve_triangular(factor, np.eye(len(factor)), lower=True)
        return inverse

    @cached_property
    def weights(self) -> Floats:
        """The covariance's inverse times the targets, float64 [N]."""
        solved: Floats = self.inverse_factor.T @ (self.inverse_factor @ self.training.targets)
        return solved

    @property
    def log_evidence(self) -> float:
        """The log marginal likelihood of the targets, up to a constant."""
        fit = 0.5 * float(self.training.targets @ self.weights)
        return float(np.log(np.diag(self.inverse_factor)).sum()) - fit

    @property
    def constant(self) -> float:
        """What the constant part adds to every mean."""
        return float(_CONSTANT * self.weights.sum())

    def smooth_part(self, smooth: Floats) -> Floats:
        """Returns the covariances [n, N] that the smooth part gives to features [n, F]."""
        if not smooth.shape[1]:
            return np.zeros((len(smooth), len(self.training.smooth)))
        scale = np.exp(-np.array(self.hyper.lengths))[self.training.groups]
        distances = _squared_distances(smooth * scale, self.training.smooth * scale)
        part: Floats = np.exp(2 * self.hyper.smooth) * _matern(distances)[0]
        return part

    def variance(self, covariances: Floats, linear_norms: Sequence[Floats]) -> Floats:
        """Returns the variance [n] of the expected values, without noise.

        Args:
            covariances: [n, N] with the training points, all but the constant part.
            linear_norms: the squared norms [n] of each linear part's rows.
        """
        prior = np.full(len(covariances), _CONSTANT)
        if self.training.smooth.shape[1]:
            prior += np.exp(2 * self.hyper.smooth)
        for amplitude, norms in zip(self.hyper.linear, linear_norms, strict=True):
            prior += np.exp(2 * amplitude) * norms
        known = np.square((covariances + _CONSTANT) @ self.inverse_factor.T).sum(axis=1)
        left: Floats = np.maximum(prior - known, 0.0)
        return left

    def left_out(self) -> Floats:
        """Returns the residual [N] of each training point, predicted from all the others."""
        diagonal = np.square(self.inverse_factor).sum(axis=0)
        residuals: Floats = self.weights / diagonal
        return residuals

    def groups_left_out(self, groups: Ints, noise: Floats) -> tuple[Floats, Floats]:
        """Returns what the rest says of each point when its whole group is left out.

        Args:
            groups: int64 [N], from 0: points of one number are left out together.
            noise: float64 [N], the noise variance of one measurement over the typical one.

        Returns:
            Residuals [N], and variances [N] of one such measurement about its prediction.
        """
        inverse = self.inverse_factor
        diagonal = np.square(inverse).sum(axis=0)
        residuals, variances = self.weights / diagonal, 1 / diagonal
        for group in np.flatnonzero(np.bincount(groups) > 1):
            rows = np.flatnonzero(groups == group)
            among = np.linalg.inv(inverse[:, rows].T @ inverse[:, rows])
            residuals[rows], variances[rows] = among @ self.weights[rows], np.diag(among)
        variances += np.exp(2 * self.hyper.noise) * (noise - self.training.spread)
        return residuals, np.maximum(variances, _JITTER)


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
    sizes = np.bincount(training.groups, minlength=1) if training.groups.size else np.zeros(0)
    return Hyperparameters(
        smooth=float(np.log(0.7)),
        linear=(float(np.log(0.4)),) * len(training.linear),
        noise=float(np.log(0.3 if noise is None else np.clip(noise, 1e-3, 3.0))),
        lengths=tuple(float(value) for value in np.log(2 * np.sqrt(np.maximum(sizes, 1)))),
    )


def _tuned(training: Training, start: Hyperparameters, prior: Hyperparameters, steps: int) -> Hyperparameters:
    from scipy.optimize import minimize

    center = prior.to_vector()
    groups = range(len(prior.lengths))
    distances = [_within(training.smooth[:, training.groups == group]) for group in groups]

    def loss(vector: Floats) -> tuple[float, Floats]:
        value, gradient = _negative_likelihood(vector, training, distances)
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
    return Hyperparameters.of_vector(result.x, len(prior.linear))


def _negative_likelihood(vector: Floats, training: Training, distances: list[Floats]) -> tuple[float, Floats]:
    """Returns minus the log marginal likelihood, up to a constant, and its gradient."""
    from scipy.linalg.lapack import dpotri

    hyper = Hyperparameters.of_vector(vector, len(training.linear))
    n = len(training.targets)
    smooth, noise = np.exp(2 * hyper.smooth), np.exp(2 * hyper.noise)
    linear, shrink = np.exp(2 * np.array(hyper.linear)), np.exp(-2 * np.array(hyper.lengths))
    matern, slope = np.zeros((n, n)), np.zeros((n, n))
    if distances:
        matern, slope = _matern(np.tensordot(shrink, distances, axes=1))
    covariance = smooth * matern + _CONSTANT
    for amplitude, gram in zip(linear, training.linear, strict=True):
        covariance += amplitude * gram
    covariance[np.diag_indices(n)] += noise * training.spread + _JITTER
    factor = np.linalg.cholesky(covariance)
    lower = np.tril(dpotri(factor, lower=1)[0])
    inverse = lower + np.tril(lower, -1).T
    weights = inverse @ training.targets
    value = 0.5 * training.targets @ weights + np.log(np.diag(factor)).sum()
    inner = 0.5 * (inverse - np.outer(weights, weights))
    gradient = [2 * smooth * np.vdot(inner, matern)]
    gradient += [2 * a * np.vdot(inner, gram) for a, gram in zip(linear, training.linear, strict=True)]
    gradient.append(2 * noise * (np.diag(inner) @ training.spread))
    bent = inner * slope * smooth
    gradient += [-2 * s * np.vdot(bent, distance) for s, distance in zip(shrink, distances, strict=True)]
    return float(value), np.array(gradient, dtype=np.float64)


def _matern(squared: Floats) -> tuple[Floats, Floats]:
    """Returns the Matern 5/2 correlation and its slope by the squared distance."""
    root = np.sqrt(5 * squared)
    fading = np.exp(-root)
    return (1 + root + root * root / 3) * fading, (-5 / 6) * (1 + root) * fading


def _within(points: Floats) -> Floats:
    return _squared_distances(points, points)


def _squared_distances(left: Floats, right: Floats) -> Floats:
    squares = np.square(left).sum(axis=1)[:, None] + np.square(right).sum(axis=1)
    distances: Floats = np.maximum(squares - 2 * left @ right.T, 0.0)
    return distances
