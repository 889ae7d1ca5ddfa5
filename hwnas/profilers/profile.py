"""Profiling: measures of many candidates what the store does not know yet."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hwnas.profilers.device import Device
from hwnas.profilers.energy.meters import has_energy
from hwnas.profilers.measurement import Measurement
from hwnas.profilers.measuring.meter import GroupResult
from hwnas.profilers.measuring.protocol import Protocol
from hwnas.profilers.store import Store
from hwnas.progress import Progress, Silent
from hwnas.spaces import Candidates, Layer, Network, random_network, subject_key


def profile(
    device: Device,
    candidates: Candidates,
    store: Store,
    protocol: Protocol | None = None,
    progress: Progress | None = None,
    *,
    again: bool = False,
    budget_s: float | None = None,
) -> list[Measurement]:
    """Returns one measurement for each candidate, in order, measuring only what the store lacks.

    Each group is stored as soon as it is measured, so that a kill costs at most the group in
    flight. Candidates that run alike are measured once. Those that come out unstable are measured
    again at the end, when whatever disturbed them may be over.

    Args:
        device: where to run them.
        candidates: what to run; weights do not matter, so random ones are taken.
        store: where measurements are found and put.
        protocol: how to measure.
        progress: hears of each group.
        again: measures all of them, known or not.
        budget_s: no new group is begun after this time; the result then ends before the first
            candidate that has no measurement.

    Raises:
        InputError: the device cannot run a candidate; nothing has been measured then.
        UnavailableError: the device is not usable here.
        MeasurementError: subjects that failed twice; the others are in the store.
    """
    chains = [candidates.layers(row) for row in range(len(candidates))]
    known = measure_chains(device, chains, store, protocol, progress, again=again, budget_s=budget_s)
    keys = [subject_key(layers) for layers in chains]
    return [known[key] for key in _before_first_missing(keys, known)]


def measure_chains(
    device: Device,
    chains: Sequence[tuple[Layer, ...]],
    store: Store,
    protocol: Protocol | None = None,
    progress: Progress | None = None,
    *,
    again: bool = False,
    budget_s: float | None = None,
) -> dict[str, Measurement]:
    """Returns the measurement of each distinct chain of layers, by subject key.

    Arguments and errors are those of `profile`; after the budget's end some chains are missing.
    """
    protocol, progress = protocol or Protocol(), progress or Silent()
    fingerprint = device.fingerprint()
    distinct: dict[str, tuple[Layer, ...]] = {}
    for layers in chains:
        distinct.setdefault(subject_key(layers), layers)
    device.check(layer for layers in distinct.values() for layer in layers)
    stored = {} if again else store.known(fingerprint.digest, list(distinct))
    known = {key: one for key, one in stored.items() if _is_usable(one, protocol)}
    wanted = {key: layers for key, layers in distinct.items() if key not in known}
    begun = time.monotonic()
    visits = _Visits(device, store, protocol, progress, known, lambda: time.monotonic() - begun, budget_s)
    for visit in range(protocol.visits):
        visits.take(wanted, f"measuring on {device.name}{' again' if visit else ''}")
        wanted = {key: wanted[key] for key in wanted if key in known and known[key].verdict == "unstable"}
    # A group may have shown the device to be faster than those before it knew.
    reference_ms = canary_reference_ms(device, store)
    return {key: one.at_reference(reference_ms) for key, one in known.items()}


@dataclass
class _Visits:
    """Measures chains on a device and stores each group as it is done.

    Attributes:
        known: what has been measured, by subject; of several measurements the steadiest, the last
            of equals.
    """

    device: Device
    store: Store
    protocol: Protocol
    progress: Progress
    known: dict[str, Measurement]
    elapsed_s: Callable[[], float]
    budget_s: float | None

    def take(self, chains: Mapping[str, tuple[Layer, ...]], title: str) -> None:
        """Measures the chains until the budget ends."""
        if not chains:
            return
        done = 0

        def on_group(result: GroupResult) -> None:
            nonlocal done
            self._keep(result)
            done += len(result.measurements) + len(result.failures)
            self.progress.step(title, done, len(chains))

        # A group takes half a minute, the first one longer.
        self.progress.step(title, 0, len(chains))
        reference_ms = canary_reference_ms(self.device, self.store)
        self.device.measure(self._networks(chains), self.protocol, on_group, canary_reference_ms=reference_ms)

    def _networks(self, chains: Mapping[str, tuple[Layer, ...]]) -> Iterator[Network]:
        for index, layers in enumerate(chains.values()):
            begins = index % self.protocol.group_size == 0
            if begins and self.budget_s is not None and self.elapsed_s() > self.budget_s:
                return
            yield random_network(layers)

    def _keep(self, result: GroupResult) -> None:
        better = [one for one in result.measurements if self._is_steadier(one)]
        fingerprint = self.device.fingerprint()
        self.store.add(better, fingerprint)
        canary = self.device.canary()
        for one in better[:1]:
            if canary and one.canary_reference_ms is not None:
                self.store.keep_canary(fingerprint.digest, canary.key, one.canary_reference_ms)
        self.known.update({one.subject: one for one in better})

    def _is_steadier(self, one: Measurement) -> bool:
        former = self.known.get(one.subject)
        return former is None or one.verdict == "stable" or _width(one) <= _width(former)


def _width(one: Measurement) -> float:
    """The width of the interval of the median, relative."""
    return (one.ci_high_ms - one.ci_low_ms) / one.latency_ms


def canary_reference_ms(device: Device, store: Store) -> float | None:
    """Returns the canary's time at full speed, to which times are corrected; None before the first.

    Raises:
        UnavailableError: the device is not usable here.
        InputError: the store cannot be read.
    """
    canary = device.canary()
    return store.canary_reference_ms(device.fingerprint().digest, canary.key) if canary else None


def _is_usable(one: Measurement, protocol: Protocol) -> bool:
    """Whether it has what the protocol asks for: an energy taken its way, if it asks for one."""
    return protocol.energy is None or has_energy(one, protocol.energy)


def _before_first_missing(keys: list[str], known: dict[str, Measurement]) -> Iterator[str]:
    for key in keys:
        if key not in known:
            return
        yield key
