"""The energy predictor of a device, from measurements that carry energies of one kind."""

from collections.abc import Sequence

import numpy as np

from hwnas.errors import InputError
from hwnas.predictors.fit import ScoredFit, fit_and_score
from hwnas.profilers import Measurement
from hwnas.spaces import Candidates

METRIC = "energy_mj"


def fit_energy(candidates: Candidates, measurements: Sequence[Measurement], *, seed: int = 0) -> ScoredFit:
    """Returns a predictor of energy with its score on held-out architectures.

    Measured energies come with their scatter over repeats, which the fit does not try to explain.

    Args:
        candidates: what was measured.
        measurements: one for each; those without an energy are left out.
        seed: for all choices made at random.

    Raises:
        InputError: fewer than 3 distinct candidates with an energy, or energies of several kinds,
            which stand for different things.
    """
    rows = [row for row, one in enumerate(measurements) if one.energy_mj is not None]
    if not rows:
        reasons = [str(one.energy["reason"]) for one in measurements if one.energy and "reason" in one.energy]
        why = f": {reasons[0]}" if reasons else ""
        raise InputError(f"none of {len(measurements)} measurements has an energy{why}; leave --energy out")
    sources = sorted({str(measurements[row].energy_source) for row in rows})
    if len(sources) > 1:
        raise InputError(
            f"energies of one predictor must be of one kind, but got {' and '.join(sources)}; fit them apart"
        )
    energies = np.array([measurements[row].energy_mj for row in rows], dtype=np.float64)
    noise = energies * np.array([_relative_noise(measurements[row]) for row in rows])
    chosen = candidates[rows]
    return fit_and_score(chosen.space, chosen, energies, metric=METRIC, noise=noise, seed=seed)


def _relative_noise(one: Measurement) -> float:
    """The standard error of a mean over repeats, relative to it; 0 where there were none."""
    about = one.energy or {}
    if "cv_percent" not in about:
        return 0.0
    return float(about["cv_percent"] / 100 / np.sqrt(about["repeats"]))
