"""Profiling: measures of many candidates what the store does not know yet."""

import time
from collections.abc import Iterator

from hwnas.profilers.device import Device, GroupResult
from hwnas.profilers.measurement import Measurement
from hwnas.profilers.protocol import Protocol
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
    flight. Candidates that run alike are measured once.

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
    protocol, progress = protocol or Protocol(), progress or Silent()
    fingerprint = device.fingerprint()
    chains: dict[str, tuple[Layer, ...]] = {}
    keys: list[str] = []
    for row in range(len(candidates)):
        layers = candidates.layers(row)
        key = subject_key(layers)
        keys.append(key)
        chains.setdefault(key, layers)
    device.check(layer for layers in chains.values() for layer in layers)
    known = {} if again else store.known(fingerprint.digest, list(chains))
    wanted = [key for key in chains if key not in known]
    begun = time.monotonic()
    done = 0

    def networks() -> Iterator[Network]:
        for index, key in enumerate(wanted):
            if (
                index % protocol.group_size == 0
                and budget_s is not None
                and time.monotonic() - begun > budget_s
            ):
                return
            yield random_network(chains[key])

    def on_group(result: GroupResult) -> None:
        nonlocal done
        store.add(result.measurements, fingerprint)
        known.update({one.subject: one for one in result.measurements})
        done += len(result.measurements) + len(result.failures)
        progress.step(f"measuring on {device.name}", done, len(wanted))

    if wanted:
        device.measure(networks(), protocol, on_group)
    return [known[key] for key in _before_first_missing(keys, known)]


def _before_first_missing(keys: list[str], known: dict[str, Measurement]) -> Iterator[str]:
    for key in keys:
        if key not in known:
            return
        yield key
