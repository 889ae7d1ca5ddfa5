"""The energy predictor: of one kind of energy, with the scatter that comes with it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hwnas.errors import InputError
from hwnas.predictors.energy import fit_energy
from hwnas.profilers import Measurement
from hwnas.spaces import Candidates, get_space

DEMO = get_space("demo")
CANDIDATES = Candidates.of_genomes(DEMO, DEMO.sample_genomes(40, np.random.default_rng(0)))


def taken(row: int, energy_mj: float | None, source: Any = "measured") -> Measurement:
    return Measurement(
        subject=str(row),
        device="cpu",
        fingerprint="f",
        kind="measured",
        latency_ms=1.0,
        p95_ms=1.0,
        ci_low_ms=1.0,
        ci_high_ms=1.0,
        samples_ms=(1.0,),
        energy_mj=energy_mj,
        energy_source=None if energy_mj is None else source,
        energy={"cv_percent": 1.0, "repeats": 4} if source == "measured" else None,
        time="2026-01-01T00:00:00+00:00",
    )


def energies() -> list[float]:
    noise = 1 + 0.005 * np.random.default_rng(1).standard_normal(len(CANDIDATES))
    return list((2 + CANDIDATES.costs().macs / 1e6) * noise)


def test_energies_are_learnt_and_scored() -> None:
    measurements = [taken(row, value) for row, value in enumerate(energies())]
    fitted = fit_energy(CANDIDATES, measurements)
    assert fitted.predictor.metric == "energy_mj"
    assert fitted.score.mape_percent < 5
    assert fitted.score.n == len(CANDIDATES)


def test_what_has_no_energy_is_left_out() -> None:
    measurements = [taken(row, value if row % 2 else None) for row, value in enumerate(energies())]
    assert fit_energy(CANDIDATES, measurements).score.n == len(CANDIDATES) // 2
    with pytest.raises(InputError, match="at least 3 distinct candidates"):
        fit_energy(CANDIDATES[:3], measurements[:3])
    without = [replace(one, energy_mj=None, energy={"reason": "the meter is gone"}) for one in measurements]
    with pytest.raises(InputError, match="none of 40 measurements has an energy: the meter is gone"):
        fit_energy(CANDIDATES, without)


def test_kinds_are_never_mixed() -> None:
    measurements = [
        taken(row, value, "measured" if row % 2 else "modelled") for row, value in enumerate(energies())
    ]
    with pytest.raises(InputError, match="must be of one kind, but got measured and modelled"):
        fit_energy(CANDIDATES, measurements)
