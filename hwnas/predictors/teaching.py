"""Teaching a student: what is known of predictors beforehand, and a network in closed form for the rest.

Source: random features, their weights found by ridge regression, as in Huang et al., Extreme
learning machine (2006), section 3.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from hwnas.errors import InputError
from hwnas.predictors.additive import additive_terms
from hwnas.predictors.bases import Inputs
from hwnas.predictors.booking import book_columns
from hwnas.predictors.features import TOTALS, Floats, encoding, layer_totals, one_hot
from hwnas.predictors.foreknown import known
from hwnas.predictors.inducing import Inducing, Part, Singles, parts_of
from hwnas.predictors.links import Ratio
from hwnas.predictors.predictor import FittedPredictor
from hwnas.predictors.student import Column, Head, Offset, Student
from hwnas.spaces import FLOAT_BITS, Candidates, Space

_SUMMED = ("launches", "se", "blocks", "pointwise", "dense", "vector", "depthwise")
_MOVED = ("activation_bytes", "weight_bytes")
# Totals that the network sees the logarithms of.
_LOGGED = (*_SUMMED, *_MOVED, *(f"{name}_quantized" for name in (*_SUMMED, *_MOVED)))
# Rectified features: fewer where inducing points do most of it.
_HIDDEN, _FEW_HIDDEN = 1024, 192
_ROWS = 2000
# Deviations are learnt from few: they take long to ask for.
_FEW_SAMPLES = 3_000
# Features of inducing points are nearly alike: more of it would hide what tells them apart.
_RIDGE = 1e-8


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
    sums = _sums(some, exact, lessons, choices.shape[1], rng)
    seen = Student(space, exact, sums.columns, 0, None).sums(
        lessons.genomes, lessons.weight_bits, lessons.activation_bits
    )
    singles = seen.astype(np.float32)
    head = _untaught(singles, sums, rng)
    targets = np.stack([_targets(one, lessons) for one in some], axis=1)
    for offset in sums.offsets:
        targets[:, offset.output] -= offset.of(seen)
    for part in sums.rough:
        targets -= _said(part, singles, n)
    shown = [choices, head.features(singles), *(part.features(singles) for part in sums.smooth)]
    both = np.concatenate(shown, axis=1)
    weights = np.concatenate([_ridge(both, targets), _ridge(both[few], deviations, 1e-3)], axis=1)
    straight, *deep = np.split(weights, np.cumsum([1 + choices.shape[1], *(len(x.T) for x in shown[1:-1])]))
    columns = [
        own or booked for own, booked in zip([*terms, *[None] * n], _booked(space, straight), strict=True)
    ]
    for own in deep:
        own[:, [at for at in range(n) if exact[at]]] = 0.0
    behind, *others = (own.astype(np.float32) for own in deep)
    smooth = (replace(part, weights=own) for part, own in zip(sums.smooth, others, strict=True))
    head = replace(head, weights=behind, inducing=(*smooth, *sums.rough))
    return Student(space, exact, (*columns, *sums.columns), 2 * n, head)


class _Sums(NamedTuple):
    """What a network will see.

    Attributes:
        columns: the sums.
        offsets: what is known of costs from them.
        logged: so many come first and are seen as logarithms.
        shown: so many are for rectified features; the rest for rough parts alone.
        smooth: features whose weights are to be learnt.
        rough: features whose weights are known.
    """

    columns: tuple[Column, ...]
    offsets: tuple[Offset, ...]
    logged: int
    shown: int
    smooth: list[Inducing]
    rough: list[Inducing]


def _sums(
    some: tuple[FittedPredictor, ...],
    exact: tuple[bool, ...],
    lessons: Candidates,
    num_choices: int,
    rng: np.random.Generator,
) -> _Sums:
    space, outputs = lessons.space, 2 * len(some)
    columns = [_total(space, name) for name in _LOGGED]
    costs = {at: known(one) for at, one in enumerate(some) if one.physics is not None and not exact[at]}
    firsts = {}
    for at, cost in costs.items():
        firsts[at] = len(columns)
        columns += cost.sides
    logged = len(columns)
    offsets = [cost.offset(at, firsts[at], logged + row) for row, (at, cost) in enumerate(costs.items())]
    columns += [cost.shared for cost in costs.values()]
    smooth, rough = [], []
    parts = [(at, part) for at, one in enumerate(some) for part in parts_of(one.regressor, lessons, rng)]
    for _, part in (pair for pair in parts if pair[1].weights is None):
        smooth.append(
            Inducing.at(len(columns), part.points, np.zeros((len(part.points), outputs)), slice(outputs))
        )
        columns += _along(space, part, num_choices)
    shown = len(columns)
    for at, part in parts:
        if part.weights is not None:
            rough.append(Inducing.at(len(columns), part.points, part.weights[:, None], slice(at, at + 1)))
            columns += _along(space, part, num_choices)
    return _Sums(tuple(columns), tuple(offsets), logged, shown, smooth, rough)


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
        return np.concatenate([one.regressor.mean(Inputs(part)) for part in _chunks(lessons)])
    logs: Floats = np.log(one.mean(lessons))
    return logs


def _log_deviations(one: FittedPredictor, some: Candidates) -> Floats:
    """Logarithms of deviations: of a quality on its link's scale, of a cost relative to its mean."""
    found = []
    for part in _chunks(some):
        inputs = Inputs(part, one.physics)
        mean, deviation = one.regressor.mean_and_deviation(inputs)
        if isinstance(one.link, Ratio):
            deviation = deviation * inputs.expected / one.link.inverse(mean, inputs.expected)
        found.append(np.log(deviation))
    return np.concatenate(found)


def _chunks(candidates: Candidates) -> list[Candidates]:
    return [candidates[start : start + _ROWS] for start in range(0, len(candidates), _ROWS)]


def _along(space: Space, part: Part, num_columns: int) -> list[Column]:
    """The coordinates of a smooth part."""
    weights = np.zeros((1 + num_columns, len(part.way[0])))
    weights[: len(part.way)] = part.way
    columns = _booked(space, weights)
    if not part.in_float:
        return columns
    return [Column(one.sizes, _without_bits(one)) for one in columns]


def _without_bits(column: Column) -> Callable[[int, int], Floats]:
    return lambda weight_bits, activation_bits: column.values(FLOAT_BITS, FLOAT_BITS)


def _said(part: Inducing, sums: Singles, num_outputs: int) -> Floats:
    """What a part adds to outputs, some rows at a time: features of all training points are many."""
    out = np.zeros((len(sums), num_outputs))
    for start in range(0, len(sums), _ROWS):
        part.add(out[start : start + _ROWS], sums[start : start + _ROWS])
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


def _untaught(seen: Singles, sums: _Sums, rng: np.random.Generator) -> Head:
    """The network with random features and no weights; columns that never vary are left out of it."""
    logs = seen[:, : sums.shown].copy()
    logs[:, : sums.logged] = np.log1p(np.maximum(logs[:, : sums.logged], 0.0))
    deviation = logs.std(axis=0)
    scale = np.where(deviation > 1e-6, 1 / np.maximum(deviation, 1e-6), 0.0)
    num_hidden = _FEW_HIDDEN if sums.smooth else _HIDDEN
    hidden = rng.standard_normal((sums.shown, num_hidden)) / max(1, int((scale > 0).sum())) ** 0.5
    parts: list[Floats] = [logs.mean(axis=0), scale, hidden, rng.uniform(-1.5, 1.5, num_hidden)]
    center, scales, inner, bias = (part.astype(np.float32) for part in parts)
    return Head(
        sums.offsets, sums.logged, center, scales, inner, bias, np.zeros((0, 0), dtype=np.float32), ()
    )


def _ridge(columns: Floats, targets: Floats, ridge: float = _RIDGE) -> Floats:
    """Returns the constants and weights [1 + columns, m] that fit targets [n, m] best."""
    columns = columns.astype(np.float64)
    center, middle = columns.mean(axis=0), targets.mean(axis=0)
    away = columns - center
    gram = away.T @ away
    gram[np.diag_indices(len(gram))] += ridge * len(columns)
    weights = np.linalg.solve(gram, away.T @ (targets - middle))
    return np.concatenate([(middle - center @ weights)[None], weights])
