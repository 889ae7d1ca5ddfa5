"""Gaussian process regression on smooth and linear features, in plain numpy.

The covariance is `sum of a² matern(distance) + sum of b² <row, row'> + c²`: smooth functions of a
few features, with one length scale a group of columns, on top of linear functions of many.
`gp_tuning` finds the hyperparameters.

Source: Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), algorithm 2.1,
equations 4.17 (Matern 5/2) and 5.12 (leave-one-out residuals).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwnas.predictors.features import Floats, Ints

CONSTANT, JITTER = 1.0, 1e-8


@dataclass(frozen=True, eq=False)
class SmoothPart:
    """A smooth function of some of the smooth columns.

    Attributes:
        first: its first column.
        groups: int64 [columns], from 0: the length scale of each of its columns.
        reach: prior length scales over those of a part that is smooth throughout.
    """

    first: int
    groups: Ints
    reach: float = 1.0

    @property
    def num_lengths(self) -> int:
        """The number of length scales."""
        return int(self.groups.max()) + 1

    def of(self, columns: Floats) -> Floats:
        """Returns its columns of all smooth ones [n, F]."""
        return columns[:, self.first : self.first + len(self.groups)]


@dataclass(frozen=True, eq=False)
class Hyperparameters:
    """Natural logarithms, for targets of unit variance: smooth [P], linear [B], noise, lengths.

    Lengths are those of the first smooth part, of the second, and so on.
    """

    smooth: tuple[float, ...]
    linear: tuple[float, ...]
    noise: float
    lengths: tuple[float, ...]

    def to_vector(self) -> Floats:
        """Returns all of them in one vector."""
        return np.array([*self.smooth, *self.linear, self.noise, *self.lengths])

    @staticmethod
    def of_vector(vector: Floats, num_smooth: int, num_linear: int) -> "Hyperparameters":
        """Returns the hyperparameters in a vector, given how many are amplitudes of either kind."""
        values = tuple(float(value) for value in vector)
        end = num_smooth + num_linear
        return Hyperparameters(values[:num_smooth], values[num_smooth:end], values[end], values[end + 1 :])

    def lengths_of(self, parts: Sequence[SmoothPart]) -> list[Floats]:
        """Returns the logarithms of the length scales of each smooth part."""
        ends = np.cumsum([part.num_lengths for part in parts])[:-1]
        return np.split(np.array(self.lengths), ends) if parts else []


@dataclass(frozen=True, eq=False)
class Training:
    """What a process is conditioned on, everything at unit scale.

    Attributes:
        smooth: float64 [N, F], standardised; parts: what is smooth in which of these columns.
        linear: the Gram matrices of the linear parts, float64 [N, N] each.
        targets: float64 [N], mean 0 and variance 1.
        spread: float64 [N], variance of each target's noise over that of the typical one.
    """

    smooth: Floats
    parts: tuple[SmoothPart, ...]
    linear: tuple[Floats, ...]
    targets: Floats
    spread: Floats

    def at(self, rows: Ints) -> "Training":
        """Returns the same for some of the points."""
        grams = tuple(gram[np.ix_(rows, rows)] for gram in self.linear)
        return Training(self.smooth[rows], self.parts, grams, self.targets[rows], self.spread[rows])

    def spread_by(self, spread: Floats) -> "Training":
        """Returns the same with other noise."""
        return Training(self.smooth, self.parts, self.linear, self.targets, spread)


@dataclass(frozen=True, eq=False)
class Posterior:
    """The solved system: what turns covariances with the training points into predictions."""

    training: Training
    hyper: Hyperparameters

    @cached_property
    def inverse_factor(self) -> Floats:
        """The inverse of the covariance's lower Cholesky factor, float64 [N, N]."""
        from scipy.linalg import solve_triangular

        covariance = self.smooth_part(self.training.smooth) + CONSTANT
        for amplitude, gram in zip(self.hyper.linear, self.training.linear, strict=True):
            covariance += np.exp(2 * amplitude) * gram
        noise = np.exp(2 * self.hyper.noise) * self.training.spread + JITTER
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
        return float(CONSTANT * self.weights.sum())

    def smooth_part(self, smooth: Floats) -> Floats:
        """Returns the covariances [n, N] that the smooth parts give to features [n, F]."""
        parts, covariances = self.training.parts, np.zeros((len(smooth), len(self.training.smooth)))
        for part, lengths, amplitude in zip(
            parts, self.hyper.lengths_of(parts), self.hyper.smooth, strict=True
        ):
            scale = np.exp(-lengths)[part.groups]
            distances = squared_distances(part.of(smooth) * scale, part.of(self.training.smooth) * scale)
            covariances += np.exp(2 * amplitude) * matern(distances)[0]
        return covariances

    def variance(self, covariances: Floats, linear_norms: Sequence[Floats]) -> Floats:
        """Returns the variance [n] of the expected values, without noise.

        Args:
            covariances: [n, N] with the training points, all but the constant part.
            linear_norms: the squared norms [n] of each linear part's rows.
        """
        prior = np.full(len(covariances), CONSTANT + sum(np.exp(2 * a) for a in self.hyper.smooth))
        for amplitude, norms in zip(self.hyper.linear, linear_norms, strict=True):
            prior += np.exp(2 * amplitude) * norms
        known = np.square((covariances + CONSTANT) @ self.inverse_factor.T).sum(axis=1)
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
        return residuals, np.maximum(variances, JITTER)


def matern(squared: Floats) -> tuple[Floats, Floats]:
    """Returns the Matern 5/2 correlation and its slope by the squared distance."""
    root = np.sqrt(5 * squared)
    fading = np.exp(-root)
    return (1 + root + root * root / 3) * fading, (-5 / 6) * (1 + root) * fading


def squared_distances(left: Floats, right: Floats) -> Floats:
    """Returns the squared distances [n, m] between points [n, F] and [m, F]."""
    squares = np.square(left).sum(axis=1)[:, None] + np.square(right).sum(axis=1)
    distances: Floats = np.maximum(squares - 2 * left @ right.T, 0.0)
    return distances
