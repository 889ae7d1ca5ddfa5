"""Teaching a student: what is known of predictors beforehand, and a network in closed form for the rest.

Source: random features, their weights found by ridge regression, as in Huang et al., Extreme
learning machine (2006), section 3.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from hwnas.errors import InputError
from hwnas.predictors.additive import additive_terms
from hwnas.predictors.bases import Inputs, layer_prices
from hwnas.predictors.booking import book_columns
from hwnas.predictors.features import TOTALS, Floats, encoding, layer_totals, one_hot
from hwnas.predictors.gaussian import GaussianProcess
from hwnas.predictors.links import Ratio
from hwnas.predictors.overlap import Overlapped
from hwnas.predictors.physics import Physics
from hwnas.predictors.predictor import FittedPredictor
from hwnas.predictors.sources import Source, Transferred
from hwnas.predictors.student import Column, Head, Offset, Singles, Student
from hwnas.spaces import FLOAT_BITS, Candidates, Space

_SUMMED = ("launches", "se", "blocks", "pointwise", "dense", "vector", "depthwise")
_MOVED = ("activation_bytes", "weight_bytes")
# Totals that the network sees the logarithms of.
_LOGGED = (*_SUMMED, *_MOVED, *(f"{name}_quantized" for name in (*_SUMMED, *_MOVED)))
_DIRECTIONS, _HIDDEN = 20, 1024
# Deviations are learnt from few: they take long to ask for.
_FEW_SAMPLES = 3_000
_RIDGE = 1e-6


def taught(some: tuple[FittedPredictor, ...], lessons: Candidates, rng: np.random.Generator) -> Student:
    """Returns the student of predictors of one space, from what they say of the lessons."""
    space, n = lessons.space, len(some)
    choices = np.concatenate([encoding(lessons), one_hot(lessons)], axis=1)
    few = slice(0, _FEW_SAMPLES)
    terms = [_exact_terms(one, lessons[few]) for one in some]
    exact = tuple(column is not None for column in terms)
    deviations = np.stack([_log_deviations(one, lessons[few]) for one in some], axis=1)
    if all(exact):
        slopes = _ridge(choices[few], deviations)
        columns = [column for column in terms if column is not None]
        return Student(space, exact, (*columns, *_booked(space, slopes)), 2 * n, None)
    sums = [_total(space, name) for name in _LOGGED]
    costs = [at for at, one in enumerate(some) if one.physics is not None and not exact[at]]
    known = {at: _known(some[at]) for at in costs}
    offsets = []
    for at in costs:
        offsets.append((at, len(sums)))
        sums += known[at].sides
    logged = len(sums)
    sums += [known[at].shared for at in costs]
    for one in some:
        sums += _booked(space, _directions(one, choices.shape[1]))
    seen = Student(space, exact, tuple(sums), 0, None).sums(
        lessons.genomes, lessons.weight_bits, lessons.activation_bits
    )
    made = tuple(known[at].offset(at, first, logged + row) for row, (at, first) in enumerate(offsets))
    head = _untaught(seen.astype(np.float32), made, logged, rng)
    both = np.concatenate([choices, head.features(seen.astype(np.float32))], axis=1)
    targets = np.stack([_targets(one, lessons) for one in some], axis=1)
    for offset in made:
        targets[:, offset.output] -= offset.of(seen)
    weights = np.concatenate([_ridge(both, targets), _ridge(both[few], deviations, 1e-3)], axis=1)
    split = choices.shape[1] + 1
    columns = _booked(space, weights[:split])
    deep = weights[split:].astype(np.float32)
    for at, column in enumerate(terms):
        if column is not None:
            columns[at] = column
            deep[:, at] = 0.0
    return Student(space, exact, (*columns, *sums), 2 * n, replace(head, weights=deep))


class _Known(NamedTuple):
    """The columns of an `Offset`: sides in units of the floor, and the corrections of layers."""

    sides: list[Column]
    shared: Column
    power: float
    unit: float

    def offset(self, output: int, first: int, shared: int) -> Offset:
        sides = tuple(range(first, first + len(self.sides)))
        return Offset(output, sides, self.power, self.unit, shared)


def _known(one: FittedPredictor) -> _Known:
    """What is known of a cost: its expectation and, of a Gaussian process, its linear part by layers.

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
    return _Known(sides, _corrections(one, 1 / unit), power, unit)


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


def _exact_terms(one: FittedPredictor, some: Candidates) -> Column | None:
    """The tables of an additive predictor; None where it is not, or is not quite for these bits."""
    try:
        terms = additive_terms(one)
    except InputError:
        return None
    mean = one.mean(some)
    if not np.allclose(terms.to_metric(terms.sums(some)), mean, rtol=1e-9):
        return None
    return Column(terms.sizes, terms.values)


def _targets(one: FittedPredictor, lessons: Candidates) -> Floats:
    """What the student learns: a quality on its link's scale, the logarithm of a cost."""
    if one.physics is None:
        return np.concatenate([one.regressor.mean(Inputs(part)) for part in _parts(lessons)])
    logs: Floats = np.log(one.mean(lessons))
    return logs


def _log_deviations(one: FittedPredictor, some: Candidates) -> Floats:
    """Logarithms of deviations: of a quality on its link's scale, of a cost relative to its mean."""
    found = []
    for part in _parts(some):
        inputs = Inputs(part, one.physics)
        mean, deviation = one.regressor.mean_and_deviation(inputs)
        if isinstance(one.link, Ratio):
            deviation = deviation * inputs.expected / one.link.inverse(mean, inputs.expected)
        found.append(np.log(deviation))
    return np.concatenate(found)


def _parts(candidates: Candidates) -> list[Candidates]:
    return [candidates[start : start + 2000] for start in range(0, len(candidates), 2000)]


def _directions(one: FittedPredictor, num_columns: int) -> Floats:
    """Weights [1 + columns, m] on choices whose sums the network should see.

    For a process that is smooth in the encoding, the directions in which it bends most: those of
    the sum of `weight x x'` over training points, which its second derivative is near to where
    length scales are long.
    """
    out = np.zeros((1 + num_columns, _DIRECTIONS))
    model = one.regressor
    if not isinstance(model, GaussianProcess) or model.design.features != "quality":
        return out[:, :0]
    bent, way = model.bending()
    values, vectors = np.linalg.eigh(bent)
    strongest = np.argsort(-np.abs(values))[:_DIRECTIONS]
    out = out[:, : len(strongest)]
    out[1 : 1 + len(way)] = way @ vectors[:, strongest]
    return out


def _booked(space: Space, weights: Floats) -> list[Column]:
    """Columns from weights [1 + choices, m]; the first row holds constants."""
    booked = [(book_columns(space, column[1:]), column[0]) for column in weights.T]
    return [Column(one.sizes + constant, one.values) for one, constant in booked]


def _total(space: Space, name: str) -> Column:
    at, slots = TOTALS.index(name), len(space.slots)

    def values(weight_bits: int, activation_bits: int) -> Floats:
        table = layer_totals(space, weight_bits, activation_bits)[:, at]
        return np.repeat(table[None], slots, axis=0)

    return Column(np.zeros(len(space.image_sizes)), values)


def _untaught(seen: Singles, offsets: tuple[Offset, ...], logged: int, rng: np.random.Generator) -> Head:
    """The network with random features and no weights; columns that never vary are left out of it."""
    logs = seen.copy()
    logs[:, :logged] = np.log1p(np.maximum(logs[:, :logged], 0.0))
    deviation = logs.std(axis=0)
    scale = np.where(deviation > 1e-6, 1 / np.maximum(deviation, 1e-6), 0.0)
    hidden = rng.standard_normal((logs.shape[1], _HIDDEN)) / max(1, int((scale > 0).sum())) ** 0.5
    bias = rng.uniform(-1.5, 1.5, _HIDDEN)
    parts: list[Floats] = [logs.mean(axis=0), scale, hidden, bias, np.zeros((0, 0))]
    return Head(offsets, logged, *(part.astype(np.float32) for part in parts))


def _ridge(columns: Floats, targets: Floats, ridge: float = _RIDGE) -> Floats:
    """Returns the constants and weights [1 + columns, m] that fit targets [n, m] best."""
    columns = columns.astype(np.float64)
    center, middle = columns.mean(axis=0), targets.mean(axis=0)
    away = columns - center
    gram = away.T @ away
    gram[np.diag_indices(len(gram))] += ridge * len(columns)
    weights = np.linalg.solve(gram, away.T @ (targets - middle))
    return np.concatenate([(middle - center @ weights)[None], weights])
