"""Predictions of each measurement by a fit that has not seen it: what intervals and choices rest on."""

from typing import NamedTuple

import numpy as np

from hwnas.predictors.bases import Inputs
from hwnas.predictors.conformal import Calibration
from hwnas.predictors.data import Data, kinds
from hwnas.predictors.features import Floats, Ints
from hwnas.predictors.gaussian import GaussianProcess
from hwnas.predictors.links import Link
from hwnas.predictors.prediction import Prediction
from hwnas.predictors.recipes import SLOW, Fitted, Recipe, choose_link, fit_recipe

# Held-out predictions are made in so many folds, fewer of models that take seconds. From so many
# measurements on, a Gaussian process leaves each out in closed form instead: the fit of a fold sees
# less, is less sure than the fit on everything, and would make the intervals around it too narrow.
_FOLDS, _FOLDS_OF_SLOW, _CLOSED_FORM = 10, 4, 400

_CHUNK = 2000


class Run(NamedTuple):
    """One model fitted on everything, and held-out targets [n] with what they were made from."""

    recipe: Recipe
    link: Link
    fitted: Fitted
    folds: Ints
    mean: Floats
    deviation: Floats
    expected: Floats
    error: float

    def deviations(self, values: Floats) -> Floats:
        """Returns by how many standard deviations values lie above their held-out predictions [n]."""
        return self.link.deviations(values, self.mean, self.deviation, self.expected)

    def prediction(self, values: Floats) -> Prediction:
        """Returns the held-out predictions, with 90 % intervals from the errors of other folds."""
        deviations = self.deviations(values)
        low, high = np.empty((2, len(deviations)))
        for fold in range(int(self.folds.max()) + 1):
            inside = self.folds == fold
            ends = Calibration.of(deviations[~inside]).interval(0.9)
            mean, deviation, expected = self.mean[inside], self.deviation[inside], self.expected[inside]
            low[inside], high[inside] = (self.link.bound(mean, deviation, end, expected) for end in ends)
        middle = self.link.inverse(self.mean, self.expected)
        return Prediction(middle, np.minimum(low, middle), np.maximum(high, middle))


def held_out_run(data: Data, recipe: Recipe, seed: int) -> Run:
    """Returns a model fitted on everything with held-out predictions of everything.

    Equal candidates are held out together, and order does not matter.
    """
    link = choose_link(data, recipe, seed)
    fitted = fit_recipe(data, recipe, link, seed)
    folds = _folds(data, _FOLDS_OF_SLOW if recipe.model in SLOW else _FOLDS)
    if isinstance(fitted.regressor, GaussianProcess) and len(data.values) >= _CLOSED_FORM:
        mean, deviation, expected = _left_out(data, fitted)
    else:
        mean, deviation, expected = _cross_fitted(data, recipe, link, fitted, folds, seed)
    error = float(np.abs(link.forward(data.values, expected) - mean).mean())
    return Run(recipe, link, fitted, folds, mean, deviation, expected, error)


def _left_out(data: Data, fitted: Fitted) -> tuple[Floats, Floats, Floats]:
    process = fitted.regressor
    assert isinstance(process, GaussianProcess)
    assert fitted.rows is not None
    mean, deviation, expected = np.empty((3, len(data.values)))
    others = np.setdiff1d(np.arange(len(data.values)), fitted.rows)
    for start in range(0, len(others), _CHUNK):
        part = others[start : start + _CHUNK]
        inputs = Inputs(data.candidates[part], fitted.physics)
        mean[part], deviation[part] = process.mean_and_deviation(inputs)
        expected[part] = inputs.expected
    mean[fitted.rows], deviation[fitted.rows] = process.left_out(kinds(data.candidates[fitted.rows]))
    expected[fitted.rows] = process.design.training.expected
    return mean, deviation, expected


def _cross_fitted(
    data: Data, recipe: Recipe, link: Link, fitted: Fitted, folds: Ints, seed: int
) -> tuple[Floats, Floats, Floats]:
    regressor = fitted.regressor
    start = regressor.hyper if isinstance(regressor, GaussianProcess) else None
    mean, deviation, expected = np.empty((3, len(data.values)))
    for fold in range(int(folds.max()) + 1):
        inside, outside = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        part = fit_recipe(data.at(outside), recipe, link, seed, start)
        inputs = Inputs(data.candidates[inside], part.physics)
        mean[inside], deviation[inside] = part.regressor.mean_and_deviation(inputs)
        expected[inside] = inputs.expected
    return mean, deviation, expected


def _folds(data: Data, most: int) -> Ints:
    """Returns each candidate's fold [n]: equal candidates share one, and order does not matter."""
    kind = kinds(data.candidates)
    distinct = int(kind.max()) + 1
    # Distinct candidates come sorted, so a fixed shuffle of them is a function of the set alone.
    fold = np.random.default_rng(0).permutation(distinct) % min(distinct, most)
    return np.asarray(fold[kind], dtype=np.int64)
