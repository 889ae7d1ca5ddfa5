"""Fitting: from measured candidates to a predictor, with a score on architectures it had not seen."""

from collections.abc import Sequence
from typing import NamedTuple

from hwnas.predictors.conformal import Calibration
from hwnas.predictors.data import checked
from hwnas.predictors.drift import Drift, find_drift
from hwnas.predictors.features import Floats
from hwnas.predictors.held_out import held_out_run
from hwnas.predictors.metrics import Score, score
from hwnas.predictors.own import Regressor, own_names
from hwnas.predictors.prediction import Prediction
from hwnas.predictors.predictor import FittedPredictor
from hwnas.predictors.recipes import MODELS, contenders
from hwnas.predictors.threads import one_blas_thread
from hwnas.spaces import Architecture, Candidates, Space


class ScoredFit(NamedTuple):
    """A predictor fitted on everything, and what held-out predictions say of it.

    Attributes:
        score: of `held_out` against the values.
        held_out: predictions, each by a fit that had not seen that candidate, in the values' order.
        drift: what the time of measuring did to values, removed from what was fitted; None: nothing
            clear, or the order is not known.
    """

    predictor: FittedPredictor
    score: Score
    held_out: Prediction
    drift: Drift | None = None


def model_names() -> list[str]:
    """Returns the names of models that `fit_predictor` knows, those of other packages last."""
    return [*MODELS, *own_names()]


def fit_predictor(
    space: Space,
    candidates: Candidates | Sequence[Architecture],
    values: "Floats | Sequence[float]",
    *,
    metric: str = "latency_ms",
    model: str | type[Regressor] = "auto",
    noise: "Floats | float | None" = None,
    sources: Sequence[FittedPredictor] = (),
    in_order: bool = False,
    seed: int = 0,
) -> FittedPredictor:
    """Returns a predictor fitted on measured candidates, its intervals calibrated on held-out ones.

    Metrics whose name begins with `accuracy` are percentages, on a scale that saturates; all
    others are positive quantities such as latency and energy, predicted as a correction of what
    physics expects, with errors that count relative to the value.

    Models: `physics` prices launches, work and traffic, side by side where a device launches while
    it computes; `gp` corrects it by a Gaussian process; `linear` is a sum over layers (of accuracies:
    over choices, behind a saturating link); `xgboost` is boosted trees; `mlp` and `encoder` are
    neural and take longest; `auto` takes, by held-out error, the best of `physics` and `gp` with
    and without sources (below 10 measurements `physics` alone), and `gp` for accuracies.

    Args:
        space: the space of the candidates.
        candidates: n of them; architectures stand for candidates in floating point.
        values: [n], in the metric's unit; repeated candidates are welcome.
        metric: its name; what follows a colon names a device and changes nothing.
        model: one of `model_names()`, or a class of your own that keeps the contract of `Regressor`.
        noise: standard errors of the values, one or [n], in the metric's unit; None: estimated.
        sources: predictors of the same metric on other devices, to transfer from: with them, ten
            measurements of a new device do what dozens do alone. Not for accuracies.
        in_order: the values stand in the order in which they were measured: drift, such as a machine
            that was slow for a while, is then sought in the errors and removed from what is fitted.
            Intervals still cover values with it, since nobody knows when the next one is measured.
        seed: for all choices made at random.

    Raises:
        InputError: lengths that differ, values that are not finite or not possible for the metric,
            fewer than 3 distinct candidates, an unknown model, or one that the metric cannot have.
    """
    return fit_and_score(
        space,
        candidates,
        values,
        metric=metric,
        model=model,
        noise=noise,
        sources=sources,
        in_order=in_order,
        seed=seed,
    ).predictor


def fit_and_score(
    space: Space,
    candidates: Candidates | Sequence[Architecture],
    values: "Floats | Sequence[float]",
    *,
    metric: str = "latency_ms",
    model: str | type[Regressor] = "auto",
    noise: "Floats | float | None" = None,
    sources: Sequence[FittedPredictor] = (),
    in_order: bool = False,
    seed: int = 0,
) -> ScoredFit:
    """Returns a predictor fitted on everything, with its score on held-out architectures.

    Every candidate is predicted by a fit that has not seen it (nor its repetitions), and its
    interval comes from the errors of other folds. Folds depend on the candidates, not on their
    order. Only scalars of the model (length scales, the ceiling and, from 100 measurements on, the
    prices of physics) come from the fit on everything.
    Arguments and errors are those of `fit_predictor`.
    """
    data = checked(space, candidates, values, metric, noise)
    with one_blas_thread():
        runs = [held_out_run(data, recipe, seed) for recipe in contenders(model, data, sources)]
        best = min(runs, key=lambda run: run.error)
        drift = None
        if in_order and not data.is_quality:
            drift = find_drift(data.values, best.prediction(data.values).mean)
        if drift is not None:
            best = held_out_run(data.with_values(data.values / drift.factors), best.recipe, seed)
    predictor = FittedPredictor(
        space=space,
        metric=metric,
        model=best.recipe.name,
        num_measurements=len(data.values),
        physics=best.fitted.physics,
        link=best.link,
        regressor=best.fitted.regressor,
        calibration=Calibration.of(best.deviations(data.values)),
    )
    held_out = best.prediction(data.values)
    return ScoredFit(predictor, score(held_out, data.values, metric=metric), held_out, drift)
