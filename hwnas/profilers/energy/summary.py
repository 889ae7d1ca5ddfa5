"""What is said of the energies of many measurements at once."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hwnas.profilers.measurement import Measurement

_SHOWN = ("source", "meter", "boundary", "window_s", "repeats", "idle_subtracted", "model")


def describe_energy(measurements: Sequence[Measurement]) -> dict[str, Any]:
    """Returns how energies were taken, as JSON.

    The fields of `Measurement.energy` that all share; the medians `idle_mw` and `cv_percent`; `without`,
    how many measurements have no energy, and the first `reason`, None where all have one.
    """
    told = [one.energy or {"source": one.energy_source} for one in measurements if one.energy_mj is not None]
    reasons = [str((one.energy or {}).get("reason", "")) for one in measurements if one.energy_mj is None]
    found: dict[str, Any] = {name: told[0][name] for name in _SHOWN if told and name in told[0]}
    for name in ("idle_mw", "cv_percent"):
        values = [float(about[name]) for about in told if name in about]
        if values:
            found[name] = float(np.median(values))
    return {**found, "without": len(reasons), "reason": reasons[0] if reasons else None}


def energy_line(described: dict[str, Any]) -> str:
    """Returns `describe_energy`'s answer as a sentence."""
    words = [f"energy: {described.get('source', 'none')}"]
    if "meter" in described:
        idle = "taken off" if described["idle_subtracted"] else "left in"
        words += [
            f"by {described['meter']} ({described['boundary']})",
            f"{described['repeats']} windows of {described['window_s']:g} s",
            f"CV {described['cv_percent']:.1f} %",
            f"{described['idle_mw']:.4g} mW of idle power {idle}",
        ]
    elif "boundary" in described:
        named = f"by the model '{described['model']}'" if "model" in described else "by the device"
        words += [f"{named} ({described['boundary']})"]
    if described["without"]:
        words += [f"{described['without']} networks have none: {described['reason']}"]
    return "; ".join(words)
