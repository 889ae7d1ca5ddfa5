"""What a Gaussian process sees of candidates: smooth features, and bases of linear ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from hwnas.predictors.bases import Basis, Columns, ColumnsKind, Inputs, Shares
from hwnas.predictors.features import TOTALS, WORK, Floats, Ints, encoding_groups, encoding_stages
from hwnas.predictors.gp import SmoothPart
from hwnas.spaces import Space

FeatureSet = Literal["runtime", "layers", "quality", "choices"]
FEATURE_SETS = ("runtime", "layers", "quality", "choices")

# Prior length scale of the rough part over that of a smooth one.
_SHORT = 0.25
_LOGGED = (*WORK, ("launches",), ("se",))
_QUANTIZED = ("launches", "activation_bytes")


@dataclass(frozen=True, eq=False)
class Design:
    """A feature set, standardised on its training candidates.

    Feature sets: `runtime` is smooth in the logarithms of the totals and linear in the shares of
    operations and the encoding; `layers` has the shares alone, so that its predictions are sums
    over layers; `quality` is smooth in the encoding, in its sums by stage and, over short distances,
    in the encoding once more (which blocks stand beside which), a length scale a group of genes
    each, and linear in every choice and in a summary; `choices` is linear in every choice and in
    their sums by group, so that its predictions are sums over choices.

    Attributes:
        training: the training candidates, with the physics in use.
    """

    features: FeatureSet
    training: Inputs

    @cached_property
    def bases(self) -> tuple[Basis, ...]:
        """The linear parts."""
        space, physics = self.training.candidates.space, self.training.physics
        if self.features in ("quality", "choices"):
            some: ColumnsKind = "summary" if self.features == "quality" else "sums"
            return (Columns.around("choices", self.training), Columns.around(some, self.training))
        assert physics is not None, "features of run time need physics"
        shares = tuple(Shares(space, physics.operations, sized=sized) for sized in (True, False))
        if self.features == "layers":
            return shares
        return (*shares, Columns.around("encoding", self.training))

    @cached_property
    def rows(self) -> tuple[Floats, ...]:
        """The training candidates' linear features, [N, L] for each basis."""
        return tuple(basis.rows(self.training) for basis in self.bases)

    @cached_property
    def norms(self) -> tuple[float, ...]:
        """The mean squared length of the rows of each basis; kernels are divided by it."""
        return tuple(float(np.square(rows).sum(axis=1).mean()) + 1e-12 for rows in self.rows)

    @cached_property
    def grams(self) -> tuple[Floats, ...]:
        """The linear kernels between training candidates, [N, N] for each basis."""
        return tuple(rows @ rows.T / norm for rows, norm in zip(self.rows, self.norms, strict=True))

    @cached_property
    def parts(self) -> tuple[SmoothPart, ...]:
        """The smooth parts: which smooth columns each sees, and their length scales."""
        if self.features == "runtime":
            return (SmoothPart(0, np.zeros(len(_LOGGED) + 1 + len(_QUANTIZED), dtype=np.int64)),)
        if self.features == "quality":
            space = self.training.candidates.space
            places = _numbered(encoding_groups(space))
            stages = _numbered([group for group, _ in _places(space)])
            return (
                SmoothPart(0, places),
                SmoothPart(len(places), stages),
                SmoothPart(0, places, _SHORT),
            )
        return ()

    def smooth(self, inputs: Inputs) -> Floats:
        """Returns the smooth features [n, F], standardised."""
        center, scale = self._standard
        return (_smooth_columns(self.features, inputs) - center) * scale

    @property
    def smooth_from_encoding(self) -> Floats:
        """What makes smooth columns [F] of the encoding [columns], for `quality`: [columns, F]."""
        space = self.training.candidates.space
        both = np.concatenate([np.eye(len(encoding_groups(space))), _by_stage(space)], axis=1)
        return np.asarray(both * self._standard[1])

    @cached_property
    def _standard(self) -> tuple[Floats, Floats]:
        columns = _smooth_columns(self.features, self.training)
        deviation = columns.std(axis=0)
        # A column that never varied says nothing of what happens where it does.
        scale = np.where(deviation > 1e-9, 1 / np.maximum(deviation, 1e-9), 0.0)
        return columns.mean(axis=0), scale


def _smooth_columns(features: FeatureSet, inputs: Inputs) -> Floats:
    if features == "quality":
        sums = inputs.encoding @ _by_stage(inputs.candidates.space)
        return np.concatenate([inputs.encoding, sums], axis=1)
    if features != "runtime":
        return np.zeros((len(inputs.candidates), 0))
    column = {name: inputs.totals[:, at] for at, name in enumerate(TOTALS)}

    def total(names: tuple[str, ...]) -> Floats:
        summed: Floats = np.sum([column[name] + column[f"{name}_quantized"] for name in names], axis=0)
        return summed

    logs = [np.log1p(total(names)) for names in _LOGGED]
    quantized = [column[f"{name}_quantized"] / total((name,)) for name in _QUANTIZED]
    return np.stack([*logs, np.log(column["image_size"]), *quantized], axis=1)


def _numbered(names: Sequence[str]) -> Ints:
    number = {name: index for index, name in enumerate(dict.fromkeys(names))}
    return np.array([number[name] for name in names], dtype=np.int64)


def _places(space: Space) -> list[tuple[str, str]]:
    """The distinct pairs of group and stage in the encoding."""
    return list(dict.fromkeys(zip(encoding_groups(space), encoding_stages(space), strict=True)))


def _by_stage(space: Space) -> Floats:
    """Which group and stage each column of the encoding belongs to, [columns, places] of 0 and 1."""
    places = zip(encoding_groups(space), encoding_stages(space), strict=True)
    distinct = _places(space)
    return np.array([[place == one for one in distinct] for place in places], dtype=np.float64)
