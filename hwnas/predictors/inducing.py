"""Inducing points: the smooth parts of a Gaussian process as features of a few sums.

A part that is smooth over long distances is known from its correlations with a few points, in
whatever proportion they are then learnt. One that is rough is not: it asks all training points, as
the process does. Both look along the directions in which candidates differ most, in units of length
scales.

Source: Quinonero-Candela and Rasmussen, A unifying view of sparse approximate Gaussian process
regression (2005), section 4: the subset of regressors.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwnas.predictors.adapted import Adapted, in_float
from hwnas.predictors.bases import Inputs
from hwnas.predictors.features import Floats
from hwnas.predictors.gaussian import GaussianProcess, SmoothTerm
from hwnas.predictors.model import Model
from hwnas.spaces import Candidates

Singles = NDArray[np.float32]

# 24 directions are as good as all 96 of a Once-for-All space.
_DIRECTIONS, _POINTS = 24, 192
_ROOT_OF_3 = np.float32(3**0.5)
# Variance along a direction, over that along the first, below which it tells nothing.
_LEAST_VARIANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Inducing:
    """Features of candidates: their Matern 5/2 correlations with inducing points.

    Attributes:
        first: of the sums that are given, the first of the k coordinates.
        points: [k + 2, m], what coordinates, the square of their length and 1 are multiplied with to
            be squared distances.
        weights: [m, outputs].
        outputs: which of all outputs these are.
    """

    first: int
    points: Singles
    weights: Singles
    outputs: slice

    @staticmethod
    def at(first: int, points: Floats, weights: Floats, outputs: slice) -> "Inducing":
        """Returns the features of inducing points [m, k], with their weights [m, outputs]."""
        squares = np.square(points).sum(axis=1)
        by = np.concatenate([-2 * points.T, np.ones((1, len(points))), squares[None]])
        return Inducing(first, by.astype(np.float32), weights.astype(np.float32), outputs)

    def add(self, out: Floats, sums: Singles) -> None:
        """Adds to outputs [n, all outputs] what the features are worth."""
        out[:, self.outputs] += self.features(sums) @ self.weights

    def features(self, sums: Singles) -> Singles:
        """Returns the correlations [n, m] of candidates with sums [n, columns]."""
        k = len(self.points) - 2
        own = np.ones((len(sums), k + 2), dtype=np.float32)
        own[:, :k] = sums[:, self.first : self.first + k]
        own[:, k] = np.square(own[:, :k]).sum(axis=1)
        # (1 + r + r²/3) exp(-r), begun with r²/3 and done in place: this is most of the time.
        found: Singles = own @ self.points
        np.maximum(found, 0, out=found)
        root = np.sqrt(found)
        root *= -_ROOT_OF_3
        found -= root
        found += 1
        found *= np.exp(root, out=root)
        return found


class Part(NamedTuple):
    """One smooth part of a process, along few directions.

    Attributes:
        way: float64 [1 + columns of the encoding, k]: constants, and what each column adds; r²/3 of a
            Matern 5/2 covariance is a squared distance there.
        points: float64 [m, k].
        weights: of the points in the target [m]; None: to be learnt.
        in_float: it sees the architecture alone, whatever the bits.
    """

    way: Floats
    points: Floats
    weights: Floats | None
    in_float: bool = False


def parts_of(model: Model, lessons: Candidates, rng: np.random.Generator) -> list[Part]:
    """Returns the smooth parts of the processes on choices that a model is made of.

    Args:
        model: of a predictor; there are none of models that are no such process.
        lessons: candidates that tell along what candidates differ.
        rng: draws inducing points, half of them from the training points.
    """
    processes: list[tuple[GaussianProcess, bool]] = []
    if isinstance(model, Adapted):
        processes = [(model.base, True), (model.change, False)]
    elif isinstance(model, GaussianProcess):
        processes = [(model, False)]
    inputs = Inputs(lessons)
    return [
        _part(term, process, in_float(inputs) if floating else inputs, rng)._replace(in_float=floating)
        for process, floating in processes
        for term in process.smooth_terms()
    ]


def _part(term: SmoothTerm, process: GaussianProcess, seen: Inputs, rng: np.random.Generator) -> Part:
    middle = seen.encoding.mean(axis=0)
    scaled = term.way * (5 / 3) ** 0.5
    away = (seen.encoding - middle) @ scaled
    variances, vectors = np.linalg.eigh(away.T @ away)
    strongest = np.argsort(-variances)[:_DIRECTIONS]
    strongest = strongest[variances[strongest] > _LEAST_VARIANCE * variances.max()]
    directions = vectors[:, strongest]
    way = scaled @ directions
    known = (process.design.training.encoding - middle) @ way
    whole = np.concatenate([(-middle @ way)[None], way])
    if term.is_rough:
        distinct, which = np.unique(known, axis=0, return_inverse=True)
        return Part(whole, distinct, np.asarray(np.bincount(which.ravel(), term.weights), dtype=np.float64))
    half = _POINTS // 2
    some, others = (rng.permutation(len(rows))[:half] for rows in (known, away))
    return Part(whole, np.concatenate([known[some], away[others] @ directions]), None)
