"""What a student is told of a cost beforehand: its expectation, from sums over layers."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hwnas.predictors.bases import layer_prices
from hwnas.predictors.features import Floats
from hwnas.predictors.gaussian import GaussianProcess
from hwnas.predictors.overlap import Overlapped
from hwnas.predictors.physics import Physics
from hwnas.predictors.predictor import FittedPredictor
from hwnas.predictors.sources import Source, Transferred
from hwnas.predictors.student import Column, Offset
from hwnas.spaces import FLOAT_BITS, Space


class Known(NamedTuple):
    """The columns of an `Offset`: sides in units of the floor, and the corrections of layers."""

    sides: list[Column]
    shared: Column
    power: float
    unit: float

    def offset(self, output: int, first: int, shared: int) -> Offset:
        """Returns the offset of an output, from its first side on and the sum of corrections."""
        sides = tuple(range(first, first + len(self.sides)))
        return Offset(output, sides, self.power, self.unit, shared)


def known(one: FittedPredictor) -> Known:
    """Returns what is known of a cost: its expectation and, of a Gaussian process, its linear part by layers.

    A transfer expects a sum of other devices' predictions: of these, too, all that adds up over
    layers is known.
    """
    space, physics = one.space, one.physics
    assert physics is not None
    unit, power = physics.operations.floor, 1.0
    if isinstance(physics, Transferred):
        parts = [
            (weight / unit, source) for weight, source in zip(physics.weights, physics.sources, strict=True)
        ]
        rest = _priced_column(space, Physics(physics.prices / unit, 1.0))
        sides = [_summed([rest, *(_by_layers(source, weight) for weight, source in parts)])]
    elif isinstance(physics, Overlapped):
        power = physics.power
        sides = [_priced_column(space, Physics(side / unit, 1.0)) for side in physics.prices]
    else:
        sides = [_priced_column(space, Physics(physics.operations.prices / unit, 1.0))]
    return Known(sides, _corrections(one, 1 / unit), power, unit)


def _by_layers(source: Source, weight: float) -> Column:
    """The part of another device's prediction that adds up over layers, times a weight."""
    assert isinstance(source, FittedPredictor)
    assert source.physics is not None
    prices = source.physics.operations.prices
    return _summed(
        [_priced_column(source.space, Physics(prices * weight, 1.0)), _corrections(source, weight)]
    )


def _corrections(one: FittedPredictor, weight: float) -> Column:
    """The linear corrections of a Gaussian process, priced by layer; zeros for other models."""
    space = one.space
    products = one.regressor.share_products() if isinstance(one.regressor, GaussianProcess) else []
    shape = (len(space.slots), len(space.vocabulary) + 1)

    def values(weight_bits: int, activation_bits: int) -> Floats:
        pair = weight_bits * (FLOAT_BITS + 1) + activation_bits
        tables = [basis.layer_table(pair, vector[:, None])[:, 0] * weight for basis, vector in products]
        return np.array(np.broadcast_to(np.sum(tables, axis=0) if tables else 0.0, shape))

    return Column(np.zeros(len(space.image_sizes)), values)


def _summed(columns: Sequence[Column]) -> Column:
    def values(weight_bits: int, activation_bits: int) -> Floats:
        return np.asarray(np.sum([one.values(weight_bits, activation_bits) for one in columns], axis=0))

    return Column(np.asarray(np.sum([one.sizes for one in columns], axis=0)), values)


def _priced_column(space: Space, physics: Physics) -> Column:
    slots = len(space.slots)

    def values(weight_bits: int, activation_bits: int) -> Floats:
        layers = np.append(layer_prices(space, physics, weight_bits, activation_bits), 0.0)
        return np.repeat(layers[None], slots, axis=0)

    return Column(np.full(len(space.image_sizes), physics.prices[0]), values)
