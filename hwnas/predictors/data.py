"""Measurements to fit on, checked once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hwnas.errors import InputError
from hwnas.predictors.features import Floats, Ints
from hwnas.spaces import Architecture, Candidates, Space

_FEWEST = 3


@dataclass(frozen=True, eq=False)
class Data:
    """Checked measurements.

    Attributes:
        candidates: n of them.
        values: float64 [n].
        noise: standard errors of the values [n], or None.
        is_quality: percentages that are better the larger, not times or energies.
    """

    candidates: Candidates
    values: Floats
    noise: Floats | None
    is_quality: bool

    def at(self, rows: Ints) -> "Data":
        """Returns the same of some rows."""
        noise = None if self.noise is None else self.noise[rows]
        return Data(self.candidates[rows], self.values[rows], noise, self.is_quality)

    def with_values(self, values: Floats) -> "Data":
        """Returns the same candidates with other values."""
        return replace(self, values=values)


def kinds(candidates: Candidates) -> Ints:
    """Returns a number from 0 for each candidate [n]: equal candidates share it, in sorted order."""
    rows = np.concatenate([candidates.genomes, candidates.weight_bits, candidates.activation_bits], axis=1)
    found: Ints = np.unique(rows, axis=0, return_inverse=True)[1].ravel()
    return found


def checked(
    space: Space,
    candidates: Candidates | Sequence[Architecture],
    values: "Floats | Sequence[float]",
    metric: str,
    noise: "Floats | float | None",
) -> Data:
    """Returns measurements that can be fitted; arguments and errors are those of `fit_predictor`."""
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
    return Data(candidates, values, noise, is_quality)


def _check_values(values: Floats, metric: str, is_quality: bool) -> None:
    wrong = ~np.isfinite(values)
    wrong |= (values < 0) | (values > 100) if is_quality else values <= 0
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        must = "from 0 to 100 percent" if is_quality else "finite and above zero"
        raise InputError(
            f"{metric} must be {must}, but value {row} is {values[row]}; leave it out or mend it"
        )
