"""Distilling: predictors as tables and a small network, for a million candidates at a time.

A Gaussian process asks every training point about every candidate. Its distilled form asks tables,
one look-up a slot of the chain: they give the linear part of every objective and a dozen sums (work,
choices by group, the directions in which the process bends most), from which a network gives the
rest. Encoding is part of it: it takes genomes as they are. Additive predictors are tables alone,
and exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwnas.errors import InputError
from hwnas.predictors.features import Floats, Ints
from hwnas.predictors.lessons import drawn, lessons
from hwnas.predictors.links import Ratio, Saturating
from hwnas.predictors.predictor import FittedPredictor
from hwnas.predictors.student import Student
from hwnas.predictors.teaching import taught
from hwnas.spaces import FLOAT_BITS

# Candidates that what was kept of their order is told on.
_FRESH = 1_000


@dataclass(frozen=True, eq=False)
class Distilled:
    """The fast form of one predictor or several of one space; made by `distill`.

    Attributes:
        predictors: those it stands for, in the order of its columns.
        kept: Kendall's tau between its means and theirs on fresh candidates, one each.
        student: the tables and the network.
    """

    predictors: tuple[FittedPredictor, ...]
    kept: tuple[float, ...]
    student: Student

    def means(
        self, genomes: Ints, weight_bits: Ints | int = FLOAT_BITS, activation_bits: Ints | int = FLOAT_BITS
    ) -> Floats:
        """Returns predicted values [n, predictors].

        Args:
            genomes: int64 [n, genes], canonical or not.
            weight_bits, activation_bits: [n, slots] or one number; of empty slots and of layers
                without weights they may be anything.
        """
        raw = self.student.outputs(genomes, weight_bits, activation_bits)
        return np.stack([self._value(at, raw) for at in range(len(self.predictors))], axis=1)

    def uppers(
        self,
        genomes: Ints,
        weight_bits: Ints | int = FLOAT_BITS,
        activation_bits: Ints | int = FLOAT_BITS,
        *,
        probability: float = 0.95,
    ) -> Floats:
        """Returns the values [n, predictors] that true ones stay below with this probability.

        For the bound that qualities stay above, ask for 1 - probability.
        """
        if not 0 < probability < 1:
            raise InputError(f"a probability must be between 0 and 1, but got {probability}")
        raw = self.student.outputs(genomes, weight_bits, activation_bits)
        bounds = []
        for at, one in enumerate(self.predictors):
            value, away = self._value(at, raw), one.calibration.bound(probability)
            deviation = np.exp(np.clip(raw[:, len(self.predictors) + at], -20.0, 5.0))
            if isinstance(one.link, Saturating):
                target = one.link.forward(np.minimum(value, _below(one.link)), np.ones(len(value)))
                bounds.append(one.link.bound(target, deviation, away, np.ones(len(value))))
            elif isinstance(one.link, Ratio):
                bounds.append(value * np.maximum(1 + away * deviation, 0.01))
            else:
                bounds.append(value * np.exp(np.clip(away * deviation, -20.0, 20.0)))
        return np.stack(bounds, axis=1)

    def _value(self, at: int, raw: Floats) -> Floats:
        one = self.predictors[at]
        if one.physics is None:
            return one.link.inverse(raw[:, at], np.ones(len(raw)))
        if self.student.exact[at]:
            assert one.physics is not None
            return np.maximum(raw[:, at], one.physics.operations.floor * 0.01)
        return np.exp(np.clip(raw[:, at], -50.0, 50.0))


def distill(
    predictors: Sequence[FittedPredictor] | FittedPredictor,
    rng: np.random.Generator,
    *,
    bits: Sequence[int] = (FLOAT_BITS,),
) -> Distilled:
    """Returns the fast form of predictors, and says how well it keeps their order.

    Args:
        predictors: of one space; those that share candidates are best distilled together.
        rng: draws the candidates it learns from.
        bits: the bitwidths that candidates will have.

    Raises:
        InputError: no predictor, or predictors of several spaces.
    """
    some = (predictors,) if isinstance(predictors, FittedPredictor) else tuple(predictors)
    if not some or len({one.space.key for one in some}) > 1:
        raise InputError(f"predictors to distill must be of one space, at least one, but got {len(some)}")
    space = some[0].space
    student = taught(some, lessons(some, rng, bits), rng)
    fresh = drawn(space, _FRESH, rng, bits)
    means = Distilled(some, (), student).means(fresh.genomes, fresh.weight_bits, fresh.activation_bits)
    kept = tuple(_tau(means[:, at], one.mean(fresh)) for at, one in enumerate(some))
    return Distilled(some, kept, student)


def _tau(left: Floats, right: Floats) -> float:
    from scipy.stats import kendalltau

    return 1.0 if np.ptp(right) == 0 else float(kendalltau(left, right).statistic)


def _below(link: Saturating) -> float:
    return 100.0 if link.ceiling is None else link.ceiling - 1e-6
