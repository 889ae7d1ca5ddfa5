"""The contract of a device: a named thing that runs networks, and how it is asked for its times."""

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import final

from hwnas.errors import InputError, MeasurementError
from hwnas.profilers.fingerprint import Fingerprint
from hwnas.profilers.measurement import Failure, Kind, Measurement
from hwnas.profilers.protocol import Protocol
from hwnas.spaces import Layer, Network


@dataclass(frozen=True)
class GroupResult:
    """What came of one group of subjects: each is in one of the two, in the order given."""

    measurements: tuple[Measurement, ...]
    failures: tuple[Failure, ...] = ()


class Meter(ABC):
    """A device made ready to measure: for a real one, a worker process that waits for work."""

    @abstractmethod
    def measure(self, artefacts: Mapping[str, Path]) -> GroupResult:
        """Returns the measurements of artefacts by subject key, their samples interleaved."""


class Device(ABC):
    """Runtime + target + threads + batch: one machine with two runtimes is two devices.

    Attributes:
        name: the registered name.
        runtime: who runs the artefact, for people: `ONNX Runtime`, `TVM`.
        kind: whether its times are `measured` or `simulated`.
        bits: the bitwidths that it runs, for weights and activations alike; 32 is floating point.
        threads, batch: what its times stand for.
    """

    name: str
    runtime: str
    kind: Kind
    bits: tuple[int, ...]
    threads: int = 1
    batch: int = 1

    @abstractmethod
    def unavailable(self) -> str | None:
        """Returns why the device is not usable here and what would make it so; None if it is."""

    @abstractmethod
    def fingerprint(self) -> Fingerprint:
        """Returns the facts that its measurements depend on.

        Raises:
            UnavailableError: the device is not usable here.
        """

    @abstractmethod
    def refusal(self, layer: Layer) -> str | None:
        """Returns why the device cannot run this layer as it should; None if it can."""

    def prepare(self, on_progress: Callable[[int, int], None] | None = None) -> None:  # noqa: B027 (most have nothing to do)
        """Does once, before networks are built, what `build` would otherwise do on its first call.

        Nothing, unless the device says otherwise. `on_progress` hears (done, total).
        """

    @abstractmethod
    def build(self, network: Network, folder: Path) -> Path:
        """Returns the artefact that the device runs, written into an existing `folder`.

        What the artefact needs beside it is written there too.

        Raises:
            InputError: a layer that the device refuses.
            UnavailableError: the device is not usable here.
        """

    @abstractmethod
    def meter(self, protocol: Protocol) -> AbstractContextManager[Meter]:
        """Returns a meter for artefacts that `build` wrote, open while the context lasts."""

    @final
    def measure(
        self,
        networks: Iterable[Network],
        protocol: Protocol,
        on_group: Callable[[GroupResult], None] | None = None,
    ) -> list[Measurement]:
        """Returns one measurement for each network, in order: of the artefacts that `build` writes.

        Networks are taken from the iterable one by one, each when the one before it is built, so
        that they need not all be in memory. `on_group` hears of each group as soon as it is done.

        Raises:
            InputError: the device cannot run one of the layers.
            MeasurementError: a subject failed twice; raised when the others have been measured.
        """
        results: list[Measurement] = []
        failures: list[Failure] = []
        stream = iter(networks)
        with self.meter(protocol) as meter:
            while True:
                with tempfile.TemporaryDirectory(prefix="hwnas-") as folder:
                    subjects, artefacts = self._build_group(stream, Path(folder), protocol)
                    if not subjects:
                        break
                    result = meter.measure(artefacts)
                if on_group:
                    on_group(result)
                found = {one.subject: one for one in result.measurements}
                results += [found[subject] for subject in subjects if subject in found]
                failures += result.failures
        if failures:
            raise failed(self.name, failures)
        return results

    @final
    def measure_artefacts(self, artefacts: Mapping[str, Path], protocol: Protocol) -> list[Measurement]:
        """Returns one measurement for each artefact that `build` wrote earlier, in order.

        Args:
            artefacts: by subject key, or by whatever name the measurement should carry.
            protocol: how to measure.

        Raises:
            MeasurementError: an artefact failed twice.
        """
        results: list[Measurement] = []
        failures: list[Failure] = []
        with self.meter(protocol) as meter:
            for group in _groups(artefacts, protocol):
                result = meter.measure(group)
                results += result.measurements
                failures += result.failures
        if failures:
            raise failed(self.name, failures)
        return results

    @final
    def check(self, layers: Iterable[Layer]) -> None:
        """Raises InputError for the first layer that the device refuses."""
        for layer in layers:
            reason = self.refusal(layer)
            if reason:
                raise InputError(
                    f"device '{self.name}' cannot run layer {layer.name or layer.kind}: {reason}"
                )

    @final
    def _build_group(
        self, networks: Iterator[Network], folder: Path, protocol: Protocol
    ) -> tuple[list[str], dict[str, Path]]:
        """The keys of the next networks in order, and the artefact of each distinct one."""
        subjects: list[str] = []
        artefacts: dict[str, Path] = {}
        size_bytes = 0
        while len(subjects) < protocol.group_size and size_bytes < protocol.group_bytes:
            network = next(networks, None)
            if network is None:
                break
            subjects.append(network.key)
            if network.key not in artefacts:
                place = folder / network.key
                place.mkdir()
                artefacts[network.key] = path = self.build(network, place)
                size_bytes += path.stat().st_size
        return subjects, artefacts


def failed(device: str, failures: list[Failure]) -> MeasurementError:
    """Returns the error for subjects that could not be measured; it names the first few."""
    shown = "; ".join(f"{one.subject[:10]}: {one.reason}" for one in failures[:3])
    more = f" (and {len(failures) - 3} more)" if len(failures) > 3 else ""
    return MeasurementError(f"device '{device}' failed on {len(failures)} of its subjects: {shown}{more}")


def _groups(artefacts: Mapping[str, Path], protocol: Protocol) -> Iterator[dict[str, Path]]:
    group: dict[str, Path] = {}
    size_bytes = 0
    for subject, path in artefacts.items():
        if group and (len(group) >= protocol.group_size or size_bytes >= protocol.group_bytes):
            yield group
            group, size_bytes = {}, 0
        group[subject] = path
        size_bytes += path.stat().st_size if path.exists() else 0
    if group:
        yield group
