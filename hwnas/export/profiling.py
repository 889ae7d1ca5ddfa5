"""A device's profile from end to end: networks drawn and measured, predictors fitted, scored and kept."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hwnas.errors import InputError
from hwnas.export.block_mode import Networks, WrittenTable, write_block_table
from hwnas.predictors import FittedPredictor, ScoredFit, first_to_measure, fit_and_score
from hwnas.predictors.energy import fit_energy
from hwnas.predictors.places import known_predictors, predictor_path
from hwnas.profilers import Device, Measurement, Protocol, Store, default_store_path
from hwnas.profilers.asked_energy import asked_energy
from hwnas.profilers.breakdown import Breakdown, breakdown
from hwnas.profilers.energy.model import EnergyModel, with_modelled_energy
from hwnas.profilers.profile import profile
from hwnas.profilers.stability import steady_rows
from hwnas.progress import Progress, Silent
from hwnas.search.sample import first_sample, floats_first
from hwnas.spaces import Candidates, Space

# A predictor is fitted on no fewer.
_FEWEST = 3
# Up to so many measurements other devices are asked what they know, and networks are chosen with care.
_FEW = 40
# Networks that those few are chosen from.
_CHOSEN_FROM = 1000


@dataclass(frozen=True, kw_only=True)
class ProfileSettings:
    """How many networks to measure, and what of them.

    Attributes:
        samples: networks to measure, at least 3.
        bits: bitwidths to draw from; () for all that the device runs.
        budget_s: no new group is begun after this time.
        energy: `measured`, by a meter of this machine, or `modelled`; None takes none.
        table_out: where to write the block table; a real device measures every block alone for it.
        again: measure anew what the store knows.
        seed: of the sample and of the fits.
    """

    samples: int = 80
    bits: tuple[int, ...] = ()
    budget_s: float | None = None
    energy: str | None = None
    table_out: Path | None = None
    again: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises InputError where there would be too little to fit a predictor on."""
        if self.samples < _FEWEST:
            raise InputError(f"samples must be at least {_FEWEST}, but got {self.samples}; measure more")


@dataclass(frozen=True)
class KeptFit:
    """A predictor with its score, and the file that has it."""

    fit: ScoredFit
    path: Path


@dataclass(frozen=True, eq=False, kw_only=True)
class DeviceProfile:
    """What profiling a device found.

    Attributes:
        candidates: n networks, in the order in which they were drawn.
        measurements: theirs [n].
        fastest_first: the rows of the networks [n], from the fastest to the slowest.
        newly_measured: how many networks the store did not know.
        repeated: how many of those were measured once more, since they came out unstable.
        groups: of networks measured side by side.
        measuring_s: what measuring them took.
        latency: fitted on the stable measurements where most are stable, else on all.
        energy: fitted on what has an energy; None where none was asked for.
        breakdown: where the time of the network at `middle` goes; None where the device cannot tell.
        table: the block table, where one was asked for.
    """

    device: Device
    candidates: Candidates
    measurements: Sequence[Measurement]
    fastest_first: Sequence[int]
    newly_measured: int
    repeated: int
    groups: int
    measuring_s: float
    latency: KeptFit
    energy: KeptFit | None
    breakdown: Breakdown | None
    table: WrittenTable | None

    @property
    def middle(self) -> int:
        """The row of the network that half of the others are faster than."""
        return self.fastest_first[len(self.fastest_first) // 2]


def profile_device(
    device: Device,
    space: Space,
    settings: ProfileSettings | None = None,
    *,
    store: Path | None = None,
    protocol: Protocol | None = None,
    progress: Progress | None = None,
) -> DeviceProfile:
    """Returns what networks of a space take on a device, with a predictor of all others.

    Networks are drawn, those that the store does not know are measured, and predictors are fitted,
    scored on held-out networks and written beside the store, where searches find them. Where few are
    measured, they are those that tell most of all others, and what the store knows of other devices
    is built upon.

    Args:
        device: where networks run.
        space: what they are drawn from.
        settings: how many, and what of them; None for the defaults.
        store: the file of the measurement store; None for the default one.
        protocol: how to measure, its energy left to the settings; None for the ordinary one.
        progress: hears of each group.

    Raises:
        InputError: settings that do not fit the device, or a budget too short to fit a predictor.
        UnavailableError: the device, or a meter of its energy, is not usable here.
        MeasurementError: networks that failed twice; the others are in the store.
    """
    device.need_usable()
    settings = settings or ProfileSettings()
    settings = replace(settings, bits=_usable_bits(device, settings.bits))
    energy = asked_energy(settings.energy, device)
    protocol = replace(protocol or Protocol(), energy=None if isinstance(energy, EnergyModel) else energy)
    sources = known_predictors(device, space, store) if settings.samples <= _FEW else []
    candidates = _drawn(device, space, settings)
    counted = _Counter(progress or Silent())
    with Store(store or default_store_path()) as opened:
        taken = _measured(device, candidates, opened, protocol, settings, counted)
        measuring_s = counted.elapsed_s()
        candidates = candidates[: len(taken)]
        if isinstance(energy, EnergyModel):
            taken = with_modelled_energy(taken, candidates, energy)
        networks = Networks(device, candidates, taken, opened, protocol, progress or Silent())
        return _fitted(networks, settings, sources, store, counted, measuring_s)


class _Counter:
    """A listener that passes on what it hears and counts the networks measured.

    Attributes:
        groups: groups that were measured.
        measured: networks measured.
        repeated: measurements taken once more because the first was unstable.
    """

    def __init__(self, listener: Progress) -> None:
        self._listener = listener
        self._begun = time.monotonic()
        self.groups = 0
        self.measured = 0
        self.repeated = 0

    def elapsed_s(self) -> float:
        return time.monotonic() - self._begun

    def say(self, text: str) -> None:
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


def _usable_bits(device: Device, wanted: tuple[int, ...]) -> tuple[int, ...]:
    usable = floats_first([b for b in device.bits if not wanted or b in wanted])
    if not usable:
        raise InputError(
            f"--bits must hold one of {device.bits}, the bitwidths of '{device.name}', but got {wanted}"
        )
    return usable


def _drawn(device: Device, space: Space, settings: ProfileSettings) -> Candidates:
    """The networks to measure; a few are those that tell most of all others, on any device."""
    rng, samples = np.random.default_rng(settings.seed), settings.samples
    pairs = tuple(pair for pair in device.bit_pairs if set(pair) <= set(settings.bits))
    pool = first_sample(space, pairs, _CHOSEN_FROM if samples <= _FEW else samples, rng)[0]
    if samples > _FEW or len(pool) <= samples:
        return pool[:samples]
    return pool[first_to_measure(pool, samples, rng)]


def _measured(
    device: Device,
    candidates: Candidates,
    store: Store,
    protocol: Protocol,
    settings: ProfileSettings,
    progress: Progress,
) -> list[Measurement]:
    taken = profile(
        device, candidates, store, protocol, progress, again=settings.again, budget_s=settings.budget_s
    )
    if len(taken) < _FEWEST:
        raise InputError(
            f"--budget ended after {len(taken)} networks, too few to fit a predictor; allow more time"
        )
    return taken


def _fitted(
    networks: Networks,
    settings: ProfileSettings,
    sources: Sequence[FittedPredictor],
    store: Path | None,
    counted: _Counter,
    measuring_s: float,
) -> DeviceProfile:
    """Fits on the networks and keeps what is fitted, one after the other, and the block table last."""
    device, candidates, taken = networks.device, networks.candidates, networks.measurements
    latency = _latency(networks, settings, sources, store)
    energy = _energy(networks, settings, store) if settings.energy else None
    order = sorted(range(len(taken)), key=lambda row: taken[row].latency_ms)
    parts = breakdown(device, candidates.layers(order[len(order) // 2]))
    table = None
    if settings.table_out:
        left_s = None if settings.budget_s is None else settings.budget_s - counted.elapsed_s()
        table = write_block_table(
            settings.table_out,
            networks,
            settings.bits,
            again=settings.again,
            budget_s=left_s,
            seed=settings.seed,
        )
    return DeviceProfile(
        device=device,
        candidates=candidates,
        measurements=taken,
        fastest_first=order,
        newly_measured=counted.measured,
        repeated=counted.repeated,
        groups=counted.groups,
        measuring_s=measuring_s,
        latency=latency,
        energy=energy,
        breakdown=parts,
        table=table,
    )


def _latency(
    networks: Networks, settings: ProfileSettings, sources: Sequence[FittedPredictor], store: Path | None
) -> KeptFit:
    space, steady = networks.candidates.space, steady_rows(networks.measurements)
    fit = fit_and_score(
        space,
        networks.candidates[steady],
        networks.latency_ms[steady],
        sources=sources,
        seed=settings.seed,
    )
    return _kept(fit, predictor_path(networks.device, space, store))


def _energy(networks: Networks, settings: ProfileSettings, store: Path | None) -> KeptFit:
    candidates, taken = networks.candidates, networks.measurements
    fit = fit_energy(candidates, taken, seed=settings.seed)
    source = next(one.energy_source for one in taken if one.energy_mj is not None)
    return _kept(fit, predictor_path(networks.device, candidates.space, store, energy=source))


def _kept(fit: ScoredFit, path: Path) -> KeptFit:
    fit.predictor.save(path)
    return KeptFit(fit, path)
