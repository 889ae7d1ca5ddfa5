"""Energies of `hwnas profile --energy`: the predictor fitted on them, and how they were taken."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwnas.cli.profile_request import Request
    from hwnas.profilers import Device, Measurement
    from hwnas.spaces import Candidates


def energy_of(
    device: "Device", candidates: "Candidates", taken: "list[Measurement]", request: "Request"
) -> dict[str, Any]:
    """Fits and keeps the device's energy predictor; returns how energies were taken, and its score.

    Raises:
        InputError: no network has an energy; the meter's reason is given.
    """
    from hwnas.predictors.energy import fit_energy
    from hwnas.predictors.places import predictor_path
    from hwnas.profilers.energy.summary import describe_energy

    fitted = fit_energy(candidates, taken, seed=request.seed)
    source = next(one.energy_source for one in taken if one.energy_mj is not None)
    path = predictor_path(device, candidates.space, request.store, energy=source)
    fitted.predictor.save(path)
    return describe_energy(taken) | {"held_out": fitted.score.to_json(), "predictor": str(path)}
