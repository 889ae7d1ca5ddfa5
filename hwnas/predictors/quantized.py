"""Transfer of an accuracy predictor from floating point to networks of few bits.

What bits cost is a small change on what an architecture is worth, and smoother: many evaluations in
floating point tell the worth, a few dozen quantized ones the change.

Source: APQ (Wang et al., 2020), section 3.2, "transfer predictor to quantized networks": there one
multi-layer perceptron is pre-trained in floating point and fine-tuned on quantized pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwnas.errors import InputError
from hwnas.predictors.adapted import Adapted, in_float
from hwnas.predictors.bases import Inputs
from hwnas.predictors.conformal import Calibration
from hwnas.predictors.features import Floats, Ints
from hwnas.predictors.fit import ScoredFit
from hwnas.predictors.gaussian import GaussianProcess
from hwnas.predictors.links import Link, Saturating
from hwnas.predictors.metrics import score
from hwnas.predictors.predictor import FittedPredictor
from hwnas.predictors.threads import one_blas_thread
from hwnas.spaces import FLOAT_BITS, Candidates

_FEWEST = 3
_FOLDS = 10
# Networks in floating point beside the quantized ones: bits that cost nothing change nothing.
_ANCHORS = 40
# Accuracies are held so far below the link's ceiling, as a part of their distance to it on average.
_BELOW_CEILING = 0.05


def fit_quantized(
    base: FittedPredictor,
    candidates: Candidates,
    values: "Floats | Sequence[float]",
    *,
    noise: "Floats | float | None" = None,
    seed: int = 0,
) -> ScoredFit:
    """Returns an accuracy predictor of quantized networks, adapted from one of networks in floating point.

    A Gaussian process learns the change from what `base` says of the same architectures in floating
    point, on the same scale. The score and the intervals are of held-out triples, each predicted by
    a change fitted without it.

    Args:
        base: an accuracy predictor by `fit_predictor`, of model `gp` or `linear`, fitted on networks
            in floating point.
        candidates: n of the same space, with their bits.
        values: [n], percent.
        noise: standard errors of the values, one or [n], in points; None: estimated.
        seed: for all choices made at random.

    Raises:
        InputError: a base of another kind or metric, candidates of another space, fewer than 3, or
            values that are not finite.
    """
    regressor, link = base.regressor, base.link
    if not isinstance(regressor, GaussianProcess) or not isinstance(link, Saturating):
        raise InputError(
            f"a quantized predictor is adapted from an accuracy predictor of model gp or linear, but got "
            f"'{base.model}' for {base.metric}"
        )
    if candidates.space.key != base.space.key:
        raise InputError(
            f"candidates are of space '{candidates.space.key}', but the predictor to adapt is for "
            f"'{base.space.key}'"
        )
    accuracies = np.asarray(values, dtype=np.float64)
    if accuracies.shape != (len(candidates),) or not np.isfinite(accuracies).all():
        raise InputError(
            f"there must be one finite accuracy for each candidate, but got {accuracies.size} values for "
            f"{len(candidates)} candidates"
        )
    distinct = len(candidates.first_of_each())
    if distinct < _FEWEST:
        raise InputError(f"a predictor needs at least {_FEWEST} distinct candidates, but got {distinct}")
    errors = None if noise is None else np.broadcast_to(np.asarray(noise, dtype=np.float64), accuracies.shape)
    with one_blas_thread():
        return _adapted(base, _Triples.of(candidates, accuracies, errors, regressor, link), seed)


@dataclass(frozen=True, eq=False)
class _Triples:
    """Quantized candidates with accuracies [n], the link, and what is left over of their targets [n]."""

    candidates: Candidates
    values: Floats
    link: Link
    worth: Floats
    residuals: Floats
    noise: Floats | None

    @staticmethod
    def of(
        candidates: Candidates,
        values: Floats,
        noise: Floats | None,
        base: GaussianProcess,
        link: Saturating,
    ) -> "_Triples":
        ones = np.ones(len(values))
        below = values
        if link.ceiling is not None:
            gap = _BELOW_CEILING * float(np.abs(link.ceiling - values).mean())
            below = np.minimum(values, link.ceiling - gap)
        worth = base.mean(in_float(Inputs(candidates)))
        residuals = link.forward(below, ones) - worth
        errors = None if noise is None else link.target_noise(noise, below, ones)
        return _Triples(candidates, values, link, worth, residuals, errors)

    def change(self, rows: Ints, base: GaussianProcess, seed: int) -> GaussianProcess:
        """Returns the change fitted on some rows, and on the base's own networks, which change nothing."""
        rng = np.random.default_rng(seed)
        known = base.design.training.candidates
        known = known[(known.weight_bits == FLOAT_BITS).all(axis=1)]
        anchors = known[np.sort(rng.permutation(len(known))[: min(_ANCHORS, len(rows))])]
        together = Candidates.concatenate([self.candidates[rows], anchors])
        targets = np.concatenate([self.residuals[rows], np.zeros(len(anchors))])
        errors = None
        if self.noise is not None:
            errors = np.concatenate([self.noise[rows], np.full(len(anchors), np.median(self.noise))])
        return GaussianProcess.fit("quality", Inputs(together), targets, rng, noise=errors)


def _adapted(base: FittedPredictor, triples: _Triples, seed: int) -> ScoredFit:
    regressor, n = base.regressor, len(triples.values)
    assert isinstance(regressor, GaussianProcess)
    folds = np.random.default_rng(seed).permutation(n) % min(_FOLDS, n)
    mean, deviation = np.empty((2, n))
    for fold in range(int(folds.max()) + 1):
        inside, outside = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        part = Adapted(regressor, triples.change(outside, regressor, seed))
        mean[inside], deviation[inside] = part.mean_and_deviation(Inputs(triples.candidates[inside]))
    link, ones = triples.link, np.ones(n)
    deviations = link.deviations(triples.values, mean, deviation, ones)
    calibration = Calibration.of(deviations)
    held_out = link.prediction(mean, deviation, calibration.interval(0.9), ones)
    predictor = FittedPredictor(
        space=base.space,
        metric=base.metric,
        model=f"{base.model}+bits",
        num_measurements=base.num_measurements + n,
        physics=None,
        link=link,
        regressor=Adapted(regressor, triples.change(np.arange(n), regressor, seed)),
        calibration=calibration,
    )
    return ScoredFit(predictor, score(held_out, triples.values), held_out)
