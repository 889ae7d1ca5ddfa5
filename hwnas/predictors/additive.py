"""Additive predictors as tables: what an exact search folds instead of asking about candidates.

A predictor is additive when a monotone function of its prediction is a sum: a constant for the image
size and, for each slot of the chain, a number that depends only on the layer there and its bits.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hwnas.errors import InputError
from hwnas.predictors.bases import Columns, Shares, layer_prices, pair_of_bits
from hwnas.predictors.booking import Booking, book_columns
from hwnas.predictors.features import Floats
from hwnas.predictors.gaussian import GaussianProcess
from hwnas.predictors.links import Link, Saturating
from hwnas.predictors.model import Constant
from hwnas.predictors.physics import Physics, border_prices
from hwnas.predictors.predictor import FittedPredictor
from hwnas.spaces import FLOAT_BITS, Candidates, Space


@dataclass(frozen=True, eq=False)
class AdditiveTerms:
    """A predictor as sums over slots, with a monotone way from sums to its metric.

    For one candidate, `sum = sizes[size] + sum over slots of values(weight_bits, activation_bits)
    [slot, layer id]`, each slot at its own bits, and the prediction is `to_metric(sum)`, which never
    falls as the sum rises: minimising (maximising) the metric is minimising (maximising) the sum.

    Attributes:
        space: whose slots and vocabulary the tables are over.
        metric: what is predicted, such as `latency_ms`.
        sizes: float64 [len(space.image_sizes)], the constant of each image size, ascending.
        values: the function from weight bits and activation bits to float64 [slots, V + 1]; row
            `space.slots[i]`, column vocabulary id, the last column (id -1) 0 for an empty slot.
        to_metric: the function from sums [n] to predictions [n], increasing.
        exact: False where the predictor also prices changes of bitwidth between neighbours, which
            are left out here: sums of candidates with mixed bits are then a little low.
    """

    space: Space
    metric: str
    sizes: Floats
    values: Callable[[int, int], Floats]
    to_metric: Callable[[Floats], Floats]
    exact: bool

    def sums(self, candidates: Candidates) -> Floats:
        """Returns the sum of each candidate [n]: the tables as they are meant to be read."""
        pairs = pair_of_bits(candidates)
        total: Floats = self.sizes[candidates.genomes[:, -1]].copy()
        slots = np.arange(len(self.space.slots))
        for pair in np.unique(pairs).tolist():
            table = self.values(*divmod(pair, FLOAT_BITS + 1))
            total += np.where(pairs == pair, table[slots, candidates.layer_ids], 0.0).sum(axis=1)
        return total


def additive_terms(predictor: FittedPredictor) -> AdditiveTerms:
    """Returns the tables of an additive predictor.

    Additive are: for latency and energy `model="linear"` (a sum over layers) and `"physics"`; for
    accuracy `model="linear"` (a sum over choices behind a saturating link). An exact search fits one
    of these with `fit_predictor(..., model="linear")` beside the automatic choice.

    Raises:
        InputError: the predictor is not additive, or its genes cannot be told from the layers.
    """
    model, link, physics = predictor.regressor, predictor.link, predictor.physics
    if isinstance(physics, Physics) and isinstance(model, Constant):
        factor = float(link.inverse(np.array([model.target]), np.ones(1))[0])
        return _priced(predictor, physics, factor, lambda pair: np.zeros(len(predictor.space.vocabulary) + 1))
    if isinstance(model, GaussianProcess) and model.design.features == "layers":
        assert isinstance(physics, Physics)
        weights, constant = model.linear_weights()
        shares = [basis for basis in model.design.bases if isinstance(basis, Shares)]

        def corrections(pair: int) -> Floats:
            parts = zip(shares, weights, strict=True)
            summed: Floats = np.sum([basis.layer_table(pair, w[:, None])[:, 0] for basis, w in parts], axis=0)
            return summed

        return _priced(predictor, physics, 1 + constant, corrections)
    if isinstance(model, GaussianProcess) and model.design.features == "choices":
        return _chosen(predictor, model, link)
    raise InputError(
        f"an exact search needs a predictor that is a sum over layers, but got one of model "
        f"'{predictor.model}'; fit it with model 'linear'"
    )


def _priced(
    predictor: FittedPredictor, physics: Physics, factor: float, corrections: Callable[[int], Floats]
) -> AdditiveTerms:
    space = predictor.space
    shape = (len(space.slots), len(space.vocabulary) + 1)

    def values(weight_bits: int, activation_bits: int) -> Floats:
        priced = np.append(layer_prices(space, physics, weight_bits, activation_bits), 0.0)
        pair = weight_bits * (FLOAT_BITS + 1) + activation_bits
        return np.array(np.broadcast_to(factor * priced + corrections(pair), shape))

    # Times are held above what the link holds them above: far below any that was measured.
    least = physics.floor * 0.01
    return AdditiveTerms(
        space=space,
        metric=predictor.metric,
        sizes=np.full(len(space.image_sizes), factor * physics.prices[0]),
        values=values,
        to_metric=lambda sums: np.maximum(sums, least),
        exact=not border_prices(physics).any(),
    )


def _chosen(predictor: FittedPredictor, model: GaussianProcess, link: Link) -> AdditiveTerms:
    assert isinstance(link, Saturating)
    space = predictor.space
    weights, constant = model.linear_weights()
    columns = np.zeros(model.design.rows[0].shape[1])
    for basis, weight in zip(model.design.bases, weights, strict=True):
        assert isinstance(basis, Columns)
        constant -= float(basis.center @ (basis.scale * weight))
        columns += basis.as_choices(space, basis.scale * weight)
    booking: Booking = book_columns(space, columns)
    return AdditiveTerms(
        space=space,
        metric=predictor.metric,
        sizes=booking.sizes + constant,
        values=booking.values,
        to_metric=lambda sums: link.inverse(sums, np.ones(len(sums))),
        exact=True,
    )
