"""Fitting: from measured candidates to a predictor, with a score on architectures it had not seen."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from hwnas.errors import InputError, unknown_name
from hwnas.predictors.bases import Inputs
from hwnas.predictors.boosting import Trees
from hwnas.predictors.conformal import Calibration
from hwnas.predictors.design import FeatureSet
from hwnas.predictors.features import Floats, Ints
from hwnas.predictors.gaussian import GaussianProcess
from hwnas.predictors.gp import Hyperparameters
from hwnas.predictors.links import Link, LogRatio, Ratio, Saturating
from hwnas.predictors.metrics import Score, score
from hwnas.predictors.model import Constant, Model
from hwnas.predictors.physics import Physics, fit_physics
from hwnas.predictors.prediction import Prediction
from hwnas.predictors.predictor import FittedPredictor
from hwnas.spaces import Architecture, Candidates, Space

ModelName = Literal["auto", "physics", "gp", "linear", "xgboost"]
_MODELS: tuple[ModelName, ...] = ("auto", "physics", "gp", "linear", "xgboost")

# Held-out predictions are made in so many folds; fewer where fitting takes long.
_FOLDS, _FOLDS_OF_MANY, _MANY = 10, 5, 400
_FEWEST = 3
# Fewer errors than this do not tell whether a correction of the physics is one.
_FEWEST_FOR_CORRECTION = 10
# The features of a Gaussian process, by model and whether the metric is a quality.
_FEATURES: dict[tuple[str, bool], FeatureSet] = {
    ("gp", False): "runtime",
    ("linear", False): "layers",
    ("gp", True): "quality",
    ("linear", True): "choices",
}
# The ceiling of accuracies is sought at these parts of the accuracies' range above the best one.
_HEADROOMS = (0.1, 0.2, 0.4, 0.8, 1.6)


class ScoredFit(NamedTuple):
    """A predictor fitted on everything, and what held-out predictions say of it.

    Attributes:
        score: of `held_out` against the values.
        held_out: predictions, each by a fit that had not seen that candidate, in the values' order.
    """

    predictor: FittedPredictor
    score: Score
    held_out: Prediction


def model_names() -> list[str]:
    """Returns the names of models that `fit_predictor` knows."""
    return list(_MODELS)


def fit_predictor(
    space: Space,
    candidates: Candidates | Sequence[Architecture],
    values: "Floats | Sequence[float]",
    *,
    metric: str = "latency_ms",
    model: str = "auto",
    noise: "Floats | float | None" = None,
    seed: int = 0,
) -> FittedPredictor:
    """Returns a predictor fitted on measured candidates, its intervals calibrated on held-out ones.

    Metrics whose name begins with `accuracy` are percentages, on a scale that saturates; all
    others are positive quantities such as latency and energy, predicted as a correction of what
    physics expects, with errors that count relative to the value.

    Models: `physics` prices launches, work and traffic; `gp` corrects it by a Gaussian process;
    `linear` is a sum over layers; `xgboost` is boosted trees; `auto` takes, by held-out error, the
    better of `physics` and `gp` (below 10 measurements `physics`), and `gp` for accuracies.

    Args:
        space: the space of the candidates.
        candidates: n of them; architectures stand for candidates in floating point.
        values: [n], in the metric's unit; repeated candidates are welcome.
        metric: its name; what follows a colon names a device and changes nothing.
        model: one of `model_names()`.
        noise: standard errors of the values, one or [n], in the metric's unit; None: estimated.
        seed: for all choices made at random.

    Raises:
        InputError: lengths that differ, values that are not finite or not possible for the metric,
            fewer than 3 distinct candidates, an unknown model, or one that the metric cannot have.
    """
    return fit_and_score(
        space, candidates, values, metric=metric, model=model, noise=noise, seed=seed
    ).predictor


def fit_and_score(
    space: Space,
    candidates: Candidates | Sequence[Architecture],
    values: "Floats | Sequence[float]",
    *,
    metric: str = "latency_ms",
    model: str = "auto",
    noise: "Floats | float | None" = None,
    seed: int = 0,
) -> ScoredFit:
    """Returns a predictor fitted on everything, with its score on held-out architectures.

    Every candidate is predicted by a fit that has not seen it (nor its repetitions), and its
    interval comes from the errors of other folds. Folds depend on the candidates, not on their
    order. Only scalars of the model (length scales, the ceiling) start from the fit on everything.
    Arguments and errors are those of `fit_predictor`.
    """
    data = _checked(space, candidates, values, metric, noise)
    names = _contenders(model, data.is_quality, len(data.values))
    runs = [_cross_validated(data, name, seed) for name in names]
    best = min(runs, key=lambda run: run.error)
    deviations = best.link.deviations(data.values, best.mean, best.deviation, best.expected)
    predictor = FittedPredictor(
        space=space,
        metric=metric,
        model=best.name,
        num_measurements=len(data.values),
        physics=best.fitted.physics,
        link=best.link,
        regressor=best.fitted.regressor,
        calibration=Calibration.of(deviations),
    )
    held_out = _held_out(best, deviations)
    return ScoredFit(predictor, score(held_out, data.values), held_out)


@dataclass(frozen=True, eq=False)
class _Data:
    """Checked measurements: candidates, values [n] and their standard errors [n] or None."""

    candidates: Candidates
    values: Floats
    noise: Floats | None
    is_quality: bool

    def at(self, rows: Ints) -> "_Data":
        noise = None if self.noise is None else self.noise[rows]
        return _Data(self.candidates[rows], self.values[rows], noise, self.is_quality)


class _Fitted(NamedTuple):
    physics: Physics | None
    regressor: Model


class _Run(NamedTuple):
    """One model fitted on everything, and held-out targets [n] with what they were made from."""

    name: str
    link: Link
    fitted: _Fitted
    folds: Ints
    mean: Floats
    deviation: Floats
    expected: Floats
    error: float


def _cross_validated(data: _Data, name: str, seed: int) -> _Run:
    link = _link(data, name, seed)
    fitted = _fitted(data, name, link, seed, None)
    start = fitted.regressor.hyper if isinstance(fitted.regressor, GaussianProcess) else None
    folds = _folds(data.candidates)
    mean, deviation, expected = np.empty((3, len(data.values)))
    for fold in range(int(folds.max()) + 1):
        inside, outside = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        part = _fitted(data.at(outside), name, link, seed, start)
        inputs = Inputs(data.candidates[inside], part.physics)
        mean[inside], deviation[inside] = part.regressor.mean_and_deviation(inputs)
        expected[inside] = inputs.expected
    targets = link.forward(data.values, expected)
    return _Run(name, link, fitted, folds, mean, deviation, expected, float(np.abs(targets - mean).mean()))


def _held_out(run: _Run, deviations: Floats) -> Prediction:
    low, high = np.empty((2, len(deviations)))
    for fold in range(int(run.folds.max()) + 1):
        inside = run.folds == fold
        ends = Calibration.of(deviations[~inside]).interval(0.9)
        mean, deviation, expected = run.mean[inside], run.deviation[inside], run.expected[inside]
        low[inside], high[inside] = (run.link.bound(mean, deviation, end, expected) for end in ends)
    middle = run.link.inverse(run.mean, run.expected)
    return Prediction(middle, np.minimum(low, middle), np.maximum(high, middle))


def _fitted(data: _Data, name: str, link: Link, seed: int, start: Hyperparameters | None) -> _Fitted:
    rng = np.random.default_rng(seed)
    inputs = Inputs(data.candidates)
    if not data.is_quality:
        inputs = replace(inputs, physics=fit_physics(inputs.totals, data.values))
    targets = link.forward(data.values, inputs.expected)
    noise = None if data.noise is None else link.target_noise(data.noise, data.values, inputs.expected)
    if name == "physics":
        return _Fitted(inputs.physics, Constant.fit(targets))
    if name == "xgboost":
        return _Fitted(inputs.physics, Trees.fit(inputs, targets, float(targets.std()), seed))
    features: FeatureSet = _FEATURES[name, data.is_quality]
    return _Fitted(
        inputs.physics,
        GaussianProcess.fit(
            features, inputs, targets, rng, noise=noise, robust=not data.is_quality, start=start
        ),
    )


def _link(data: _Data, name: str, seed: int) -> Link:
    if not data.is_quality:
        return Ratio() if name == "linear" else LogRatio()
    best, reach = float(data.values.max()), float(np.ptp(data.values))
    if data.noise is not None:
        reach = max(reach, 5 * float(np.median(data.noise)))
    ceilings = sorted({min(best + part * reach, 100.0) for part in _HEADROOMS})
    links = [
        Saturating(None),
        *(Saturating(ceiling) for ceiling in ceilings if ceiling > best + 0.05 * reach),
    ]
    if name == "xgboost" or len(data.values) < 10 or reach == 0:
        return links[0]
    return max(links, key=lambda link: _evidence(data, name, link, seed))


def _evidence(data: _Data, name: str, link: Saturating, seed: int) -> float:
    """The log density of the values under the model with this link, up to a constant."""
    regressor = _fitted(data, name, link, seed, None).regressor
    assert isinstance(regressor, GaussianProcess)
    slope = 0.0 if link.ceiling is None else -float(np.log(link.ceiling - data.values).sum())
    return regressor.log_evidence + slope


def _folds(candidates: Candidates) -> Ints:
    """Returns each candidate's fold [n]: equal candidates share one, and order does not matter."""
    rows = np.concatenate([candidates.genomes, candidates.weight_bits, candidates.activation_bits], axis=1)
    distinct, kind = np.unique(rows, axis=0, return_inverse=True)
    folds = min(len(distinct), _FOLDS if len(distinct) <= _MANY else _FOLDS_OF_MANY)
    # Distinct rows come sorted, so a fixed shuffle of them is a function of the set alone.
    fold = np.random.default_rng(0).permutation(len(distinct)) % folds
    return fold[kind.ravel()]


def _contenders(model: str, is_quality: bool, num_measurements: int) -> list[str]:
    if model not in _MODELS:
        raise unknown_name("model", model, _MODELS)
    if is_quality and model == "physics":
        raise InputError(
            "model 'physics' predicts what a device does, not accuracies; use auto, gp, linear or xgboost"
        )
    if model != "auto":
        return [model]
    if is_quality:
        return ["gp"]
    return ["physics"] if num_measurements < _FEWEST_FOR_CORRECTION else ["gp", "physics"]


def _checked(
    space: Space,
    candidates: Candidates | Sequence[Architecture],
    values: "Floats | Sequence[float]",
    metric: str,
    noise: "Floats | float | None",
) -> _Data:
    if not isinstance(candidates, Candidates):
        candidates = Candidates.of_architectures(space, list(candidates))
    if candidates.space.key != space.key:
        raise InputError(f"candidates are of space '{candidates.space.key}', but '{space.key}' is in use")
    values = np.asarray(values, dtype=np.float64)
    if values.shape != (len(candidates),):
        raise InputError(
            f"there must be one value for each candidate, but got {values.size} values "
            f"for {len(candidates)} candidates"
        )
    is_quality = metric.startswith("accuracy")
    _check_values(values, metric, is_quality)
    distinct = len(candidates.first_of_each())
    if distinct < _FEWEST:
        raise InputError(
            f"a predictor needs at least {_FEWEST} distinct candidates, but got {distinct}; measure more"
        )
    if noise is not None:
        noise = np.broadcast_to(np.asarray(noise, dtype=np.float64), values.shape)
        if not (np.isfinite(noise).all() and (noise >= 0).all()):
            raise InputError("standard errors must be finite and not negative")
        noise = None if not noise.any() else noise
    return _Data(candidates, values, noise, is_quality)


def _check_values(values: Floats, metric: str, is_quality: bool) -> None:
    wrong = ~np.isfinite(values)
    wrong |= (values < 0) | (values > 100) if is_quality else values <= 0
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        must = "from 0 to 100 percent" if is_quality else "finite and above zero"
        raise InputError(
            f"{metric} must be {must}, but value {row} is {values[row]}; leave it out or mend it"
        )
