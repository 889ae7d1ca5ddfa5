"""What `hwnas profile` does, from its options to the figures it shows."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hwnas.errors import InputError

if TYPE_CHECKING:
    from hwnas.cli.profile_request import Request
    from hwnas.profilers import Device, Measurement, Protocol, Store
    from hwnas.progress import Progress
    from hwnas.spaces import Candidates, Space

# Up to so many measurements other devices are asked what they know, and networks are chosen with care.
_FEW = 40
# Networks that those few are chosen from.
_CHOSEN_FROM = 1000


class _Counter:
    """A listener that passes on what it hears and counts the networks measured.

    Attributes:
        groups: groups that were measured.
        measured: networks measured.
        repeated: measurements taken once more because the first was unstable.
    """

    def __init__(self, listener: "Progress") -> None:
        """Takes who is to hear."""
        self._listener = listener
        self.groups = 0
        self.measured = 0
        self.repeated = 0

    def say(self, text: str) -> None:
        """Passes the line on."""
        self._listener.say(text)

    def step(self, what: str, done: int, total: int) -> None:
        """Passes the step on; one of measuring is a group."""
        if what.startswith("measuring"):
            self.groups += 1
            if what.endswith(" again"):
                self.repeated = done
            else:
                self.measured = done
        self._listener.step(what, done, total)


def run(request: "Request", device: "Device", space: "Space", progress: "Progress") -> dict[str, Any]:
    """Measures, fits and writes what was asked for; returns all there is to say, as a JSON object.

    Raises:
        InputError: options that do not fit the device, or a budget too short.
        MeasurementError: networks that failed twice; the others are in the store.
    """
    from hwnas.cli.profile_energy import energy_of
    from hwnas.cli.profile_show import result_of
    from hwnas.cli.profile_table import Measured, block_table_of
    from hwnas.predictors import fit_and_score
    from hwnas.predictors.places import known_predictors, predictor_path
    from hwnas.profilers import Protocol, Store, default_store_path
    from hwnas.profilers.asked_energy import asked_energy
    from hwnas.profilers.breakdown import breakdown
    from hwnas.profilers.energy.model import EnergyModel, with_modelled_energy

    request = replace(request, bits=_usable_bits(device, request.bits))
    energy = asked_energy(request.energy, device)
    protocol = Protocol(energy=None if isinstance(energy, EnergyModel) else energy)
    sources = known_predictors(device, space, request.store) if request.samples <= _FEW else []
    candidates = _sampled(device, space, request)
    counted, begun = _Counter(progress), time.monotonic()
    with Store(request.store or default_store_path()) as store:
        taken = _measured(device, candidates, store, protocol, request, counted)
        spent_s = time.monotonic() - begun
        candidates = candidates[: len(taken)]
        if isinstance(energy, EnergyModel):
            taken = with_modelled_energy(taken, candidates, energy)
        values = [one.latency_ms for one in taken]
        steady = steady_rows(taken)
        fitted = fit_and_score(
            space, candidates[steady], [values[row] for row in steady], sources=sources, seed=request.seed
        )
        path = predictor_path(device, space, request.store)
        fitted.predictor.save(path)
        order = sorted(range(len(values)), key=lambda row: values[row])
        middle = order[len(order) // 2]
        result = result_of(request, device, candidates, taken, order, fitted.score) | {
            "newly_measured": counted.measured,
            "repeated": counted.repeated,
            "groups": counted.groups,
            "seconds": round(spent_s, 1),
            "predictor": str(path),
            "model": fitted.predictor.model,
        }
        if energy:
            result["energy"] = energy_of(device, candidates, taken, request)
        found = breakdown(device, candidates.layers(middle))
        result["breakdown"] = found and {"id": candidates.ids[middle]} | found.to_json()
        if request.table_out:
            left_s = None if request.budget_s is None else request.budget_s - (time.monotonic() - begun)
            rest = replace(request, budget_s=left_s)
            networks = Measured(device, candidates, taken, store, protocol, progress)
            result["table"] = block_table_of(networks, rest)
    return result


def steady_rows(taken: "Sequence[Measurement]") -> list[int]:
    """Returns which measurements a predictor is fitted on: the stable ones where most are, else all.

    The few that are not may be off by a multiple, since something else ran; they are shown and stored.
    """
    stable = [row for row, one in enumerate(taken) if one.verdict == "stable"]
    return stable if 2 * len(stable) > len(taken) and len(stable) >= 3 else list(range(len(taken)))


def _usable_bits(device: "Device", wanted: tuple[int, ...]) -> tuple[int, ...]:
    from hwnas.search.sample import floats_first

    usable = floats_first([b for b in device.bits if not wanted or b in wanted])
    if not usable:
        raise InputError(
            f"--bits must hold one of {device.bits}, the bitwidths of '{device.name}', but got {wanted}"
        )
    return usable


def _sampled(device: "Device", space: "Space", request: "Request") -> "Candidates":
    """The networks to measure; a few are those that tell most of all others, on any device."""
    import numpy as np

    from hwnas.predictors import first_to_measure
    from hwnas.search.sample import first_sample

    rng = np.random.default_rng(request.seed)
    pairs = tuple(pair for pair in device.bit_pairs if set(pair) <= set(request.bits))
    pool = first_sample(space, pairs, _CHOSEN_FROM if request.samples <= _FEW else request.samples, rng)[0]
    if request.samples > _FEW or len(pool) <= request.samples:
        return pool[: request.samples]
    return pool[first_to_measure(pool, request.samples, rng)]


def _measured(
    device: "Device",
    candidates: "Candidates",
    store: "Store",
    protocol: "Protocol",
    request: "Request",
    progress: "Progress",
) -> "list[Measurement]":
    from hwnas.profilers.profile import profile

    taken = profile(
        device, candidates, store, protocol, progress, again=request.again, budget_s=request.budget_s
    )
    if len(taken) < 3:
        raise InputError(
            f"--budget ended after {len(taken)} networks, too few to fit a predictor; allow more time"
        )
    return taken
