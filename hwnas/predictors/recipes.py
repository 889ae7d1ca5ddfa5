"""How each model is fitted to data: its physics, its link, its regressor."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np

from hwnas.errors import InputError, unknown_name
from hwnas.predictors.bases import Inputs
from hwnas.predictors.boosting import Trees
from hwnas.predictors.data import Data, kinds
from hwnas.predictors.design import FeatureSet
from hwnas.predictors.features import Floats, Ints, totals
from hwnas.predictors.gaussian import GaussianProcess
from hwnas.predictors.gp import Hyperparameters
from hwnas.predictors.links import Link, LogRatio, Ratio, Saturating
from hwnas.predictors.model import Constant, Model
from hwnas.predictors.overlap import POWERS, fit_overlapped
from hwnas.predictors.own import Own, Regressor, own_names
from hwnas.predictors.physics import Expectation, fit_physics
from hwnas.predictors.sources import Source, fit_sources

ModelName = Literal["auto", "physics", "gp", "linear", "xgboost", "mlp", "encoder"]
MODELS: tuple[ModelName, ...] = ("auto", "physics", "gp", "linear", "xgboost", "mlp", "encoder")

# A Gaussian process costs the cube of its points; beyond so many, the others calibrate its intervals.
_MOST_POINTS = 1500
# Models that take seconds to fit.
SLOW = ("mlp", "encoder")
# Fewer errors than this do not tell whether a correction of the physics is one.
_FEWEST_FOR_CORRECTION = 10
# The overlap of launching and computing is chosen on so many points, and has to cut errors so far.
_POWER_POINTS, _POWER_FOLDS, _CLEARLY = 400, 5, 0.93
# The features of a Gaussian process, by model and whether the metric is a quality.
_FEATURES: dict[tuple[str, bool], FeatureSet] = {
    ("gp", False): "runtime",
    ("linear", False): "layers",
    ("gp", True): "quality",
    ("linear", True): "choices",
}
# The ceiling of accuracies is sought at these parts of the accuracies' range above the best one.
_HEADROOMS = (0.1, 0.2, 0.4, 0.8, 1.6)


class Recipe(NamedTuple):
    """What to fit.

    Attributes:
        model: its name.
        sources: predictors of other devices to start from.
        power: how launching and computing overlap, as in `Overlapped`; 1: they add up.
        own: the regressor of another package, by its class or its entry point; None for ours.
    """

    model: str
    sources: tuple[Source, ...] = ()
    power: float = 1.0
    own: type[Regressor] | str | None = None

    @property
    def name(self) -> str:
        """The model, and whether it starts from other devices."""
        return f"{self.model}+sources" if self.sources else self.model


class Fitted(NamedTuple):
    """A model fitted to data.

    Attributes:
        physics: what is expected without any correction; None for qualities.
        regressor: what corrects it.
        rows: the measurements that a Gaussian process is conditioned on; None: all of them.
    """

    physics: Expectation | None
    regressor: Model
    rows: Ints | None = None


def contenders(model: str | type[Regressor], data: Data, sources: Sequence[Source]) -> list[Recipe]:
    """Returns what a model's name stands for: one recipe, or those to choose from.

    Raises:
        InputError: an unknown model, or one that the metric cannot have.
    """
    if not isinstance(model, str):
        return [Recipe(model.__name__, own=model)]
    if model not in MODELS:
        others = own_names()
        if model in others:
            return [Recipe(model, own=model)]
        raise unknown_name("model", model, [*MODELS, *others])
    if data.is_quality and (model == "physics" or sources):
        what = "model 'physics' predicts" if model == "physics" else "sources tell"
        raise InputError(f"{what} what a device does, not accuracies; use auto, gp, linear or xgboost")
    given = tuple(sources)
    if data.is_quality:
        return [Recipe("gp" if model == "auto" else model)]
    if model not in ("auto", "physics", "gp"):
        return [Recipe(model)]
    some = [model]
    if model == "auto":
        some = ["physics"] if len(data.values) < _FEWEST_FOR_CORRECTION else ["gp", "physics"]
    power = choose_power(data)
    recipes = [Recipe(name, given) for name in some if given]
    recipes += [Recipe(name, (), power) for name in some if power != 1]
    return [*recipes, *(Recipe(name) for name in some)]


def fit_recipe(
    data: Data, recipe: Recipe, link: Link, seed: int, start: Hyperparameters | None = None
) -> Fitted:
    """Returns a model fitted to data on the scale of a link; `start` saves time on a like problem."""
    rng = np.random.default_rng(seed)
    inputs = Inputs(data.candidates)
    if not data.is_quality:
        inputs = replace(inputs, physics=_expectation(inputs, data.values, recipe))
    targets = link.forward(data.values, inputs.expected)
    if recipe.model == "physics":
        return Fitted(inputs.physics, Constant.fit(targets))
    if recipe.own is not None:
        return Fitted(inputs.physics, Own.fit(recipe.own, inputs, targets, seed))
    if recipe.model in _OTHERS:
        return Fitted(inputs.physics, _OTHERS[recipe.model](inputs, targets, seed))
    features: FeatureSet = _FEATURES[recipe.model, data.is_quality]
    rows = _some(data, rng)
    some, expected = data.at(rows), inputs.expected[rows]
    process = GaussianProcess.fit(
        features,
        replace(inputs, candidates=some.candidates),
        targets[rows],
        rng,
        noise=None if some.noise is None else link.target_noise(some.noise, some.values, expected),
        robust=not data.is_quality,
        start=start,
    )
    return Fitted(inputs.physics, process, rows)


def _some(data: Data, rng: np.random.Generator) -> Ints:
    """Returns the rows that a Gaussian process is conditioned on: all, or random whole groups of equals."""
    kind = kinds(data.candidates)
    if len(kind) <= _MOST_POINTS:
        return np.arange(len(kind))
    counts = np.bincount(kind)
    order = rng.permutation(len(counts))
    taken = np.zeros(len(counts), dtype=bool)
    taken[order[np.cumsum(counts[order]) <= _MOST_POINTS]] = True
    return np.flatnonzero(taken[kind])


def choose_link(data: Data, recipe: Recipe, seed: int) -> Link:
    """Returns the scale that a model works on; the ceiling of accuracies is the most likely one."""
    if not data.is_quality:
        return Ratio() if recipe.model == "linear" else LogRatio()
    best, reach = float(data.values.max()), float(np.ptp(data.values))
    if data.noise is not None:
        reach = max(reach, 5 * float(np.median(data.noise)))
    ceilings = sorted({min(best + part * reach, 100.0) for part in _HEADROOMS})
    links = [
        Saturating(None),
        *(Saturating(ceiling) for ceiling in ceilings if ceiling > best + 0.05 * reach),
    ]
    if recipe.own or recipe.model in _OTHERS or len(data.values) < 10 or reach == 0:
        return links[0]
    return max(links, key=lambda link: _evidence(data, recipe, link, seed))


def _evidence(data: Data, recipe: Recipe, link: Saturating, seed: int) -> float:
    """The log density of the values under the model with this link, up to a constant."""
    regressor = fit_recipe(data, recipe, link, seed).regressor
    assert isinstance(regressor, GaussianProcess)
    slope = 0.0 if link.ceiling is None else -float(np.log(link.ceiling - data.values).sum())
    return regressor.log_evidence + slope


def choose_power(data: Data) -> float:
    """Returns how launching and computing overlap on a device, 1 unless errors say otherwise clearly."""
    n = len(data.values)
    if n < _FEWEST_FOR_CORRECTION:
        return 1.0
    in_order = np.argsort(kinds(data.candidates), kind="stable")
    rows = in_order[np.random.default_rng(0).permutation(n)[:_POWER_POINTS]]
    table, values = totals(data.candidates[rows]), data.values[rows]
    errors = {1.0: np.empty(len(rows)), **{power: np.empty(len(rows)) for power in POWERS}}
    for fold in range(_POWER_FOLDS):
        inside = np.arange(len(rows)) % _POWER_FOLDS == fold
        own = fit_physics(table[~inside], values[~inside])
        for power, error in errors.items():
            found = own if power == 1 else fit_overlapped(own, table[~inside], values[~inside], power)
            expected = found.expect(table[inside], data.candidates[rows[inside]])
            error[inside] = np.abs(np.log(expected / values[inside]))
    best = min(errors, key=lambda power: float(errors[power].mean()))
    return best if errors[best].mean() < _CLEARLY * errors[1.0].mean() else 1.0


def _expectation(inputs: Inputs, values: Floats, recipe: Recipe) -> Expectation:
    physics = fit_physics(inputs.totals, values)
    if recipe.sources:
        return fit_sources(physics, inputs, values, recipe.sources)
    return physics if recipe.power == 1 else fit_overlapped(physics, inputs.totals, values, recipe.power)


def _trees(inputs: Inputs, targets: Floats, seed: int) -> Model:
    return Trees.fit(inputs, targets, float(targets.std()), seed)


def _perceptron(inputs: Inputs, targets: Floats, seed: int) -> Model:
    from hwnas.predictors.neural_training import fit_perceptron

    return fit_perceptron(inputs, targets, seed)


def _encoder(inputs: Inputs, targets: Floats, seed: int) -> Model:
    from hwnas.predictors.neural_training import fit_encoder

    return fit_encoder(inputs, targets, seed)


# Models that are neither physics nor Gaussian processes.
_OTHERS: dict[str, Callable[[Inputs, Floats, int], Model]] = {
    "xgboost": _trees,
    "mlp": _perceptron,
    "encoder": _encoder,
}
