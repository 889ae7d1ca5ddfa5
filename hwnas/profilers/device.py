"""The contract of a device: a named thing that runs networks, and how it is asked for its times."""

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, final

from hwnas.errors import InputError, UnavailableError
from hwnas.files import temporary_folder
from hwnas.profilers.energy.settings import EnergySettings, MeterName
from hwnas.profilers.machine.fingerprint import Fingerprint
from hwnas.profilers.measurement import Failure, Kind, Measurement
from hwnas.profilers.measuring.canary import canary_network
from hwnas.profilers.measuring.groups import Group, failed, parted, results_of
from hwnas.profilers.measuring.meter import Canary, GroupResult, Meter
from hwnas.profilers.measuring.protocol import Protocol
from hwnas.profilers.memory import PlannedMemory
from hwnas.progress import Stopped, following
from hwnas.spaces import Layer, Network, Pair, alike


@dataclass(frozen=True)
class Remarks:
    """What is known of an artefact before it is measured.

    Attributes:
        conditions: facts to keep with its measurement.
        reasons: why its time may not be what it could be, such as kernels without schedules.
    """

    conditions: Mapping[str, Any] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()


class Device(ABC):
    """Runtime + target + threads + batch: one machine with two runtimes is two devices.

    Attributes:
        name: the registered name.
        runtime: who runs the artefact, for people: `ONNX Runtime`, `TVM`.
        kind: whether its times are `measured` or `simulated`.
        bits: the bitwidths that it runs, for weights and activations alike; 32 is floating point.
        threads, batch: what its times stand for.
        runs_onnx: whether its artefact is the ONNX file itself, so that it runs any exported one.
        definition: the fields of the file that describes it; None where its name says all.
        energy_meters: the kinds of meters of this machine that see what it uses, best first; none
            where it is another machine, or a model.
        energy: which meter, and how, where its file says so.
    """

    name: str
    runtime: str
    kind: Kind
    bits: tuple[int, ...]
    threads: int = 1
    batch: int = 1
    runs_onnx: bool = False
    definition: Mapping[str, Any] | None = None
    energy_meters: tuple[MeterName, ...] = ("rapl", "hwmon")
    energy: EnergySettings | None = None

    @property
    def bit_pairs(self) -> tuple[Pair, ...]:
        """The weight and activation bits that it runs together: each of `bits` alike, unless overridden."""
        return alike(self.bits)

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

    def canary(self) -> Network | None:
        """Returns the network that tells this machine's speed; None where no clock is asked.

        A small fixed chain, unless the device refuses it.
        """
        network = canary_network()
        return None if self.kind == "simulated" or any(map(self.refusal, network.layers)) else network

    def remarks(self, artefact: Path) -> Remarks:
        """Returns what `build` left to say of an artefact that it wrote; nothing, unless overridden."""
        return Remarks()

    def planned_memory(self, layers: Sequence[Layer]) -> PlannedMemory | None:
        """Returns what its artefact of a chain plans for activations; None where the runtime decides.

        Raises:
            InputError: a layer that the device refuses.
            UnavailableError: the device is not usable here.
        """
        return None

    @final
    def measure(
        self,
        networks: Iterable[Network],
        protocol: Protocol,
        on_group: Callable[[GroupResult], None] | None = None,
        *,
        canary_reference_ms: float | None = None,
    ) -> list[Measurement]:
        """Returns one measurement for each network, in order: of the artefacts that `build` writes.

        Networks are taken from the iterable one by one, each when the one before it is built, so
        that they need not all be in memory. `on_group` hears of each group as soon as it is done.

        Args:
            networks: what to build and measure.
            protocol: how to measure.
            on_group: called in this thread.
            canary_reference_ms: the canary's time that all times are corrected to; None takes what
                it takes in the first group.

        Raises:
            InputError: the device cannot run one of the layers.
            MeasurementError: a subject failed twice; raised when the others have been measured.
        """
        subjects: list[str] = []

        def groups(home: Path) -> Iterator[Group]:
            stream = iter(networks)
            while (group := self._build_group(stream, home, protocol)).subjects:
                subjects.extend(group.subjects)
                yield group

        with temporary_folder() as home:
            found = self._measure(groups(home), protocol, on_group, canary_reference_ms)
        return [found[subject] for subject in subjects]

    @final
    def measure_artefacts(
        self, artefacts: Mapping[str, Path], protocol: Protocol, *, canary_reference_ms: float | None = None
    ) -> list[Measurement]:
        """Returns one measurement for each artefact that `build` wrote earlier, in order.

        Args:
            artefacts: by subject key, or by whatever name the measurement should carry.
            protocol: how to measure.
            canary_reference_ms: see `measure`.

        Raises:
            MeasurementError: an artefact failed twice.
        """
        found = self._measure(parted(artefacts, protocol), protocol, None, canary_reference_ms)
        return [found[subject] for subject in artefacts]

    @final
    def need_usable(self) -> None:
        """Raises UnavailableError where the device is not usable here."""
        reason = self.unavailable()
        if reason:
            raise UnavailableError(f"device '{self.name}' is not usable here: {reason}")

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
    def _measure(
        self,
        groups: Iterator[Group],
        protocol: Protocol,
        on_group: Callable[[GroupResult], None] | None,
        reference_ms: float | None,
    ) -> dict[str, Measurement]:
        """The measurements of all groups by subject."""
        found: dict[str, Measurement] = {}
        failures: list[Failure] = []
        asked: list[Stopped] = []
        # The pool is left last: the meter's end is what ends calls that still wait.
        with (
            temporary_folder() as folder,
            ThreadPoolExecutor() as pool,
            self.meter(protocol) as meter,
        ):
            # Built when there is something to measure.
            canary = cache(lambda: self._built_canary(folder, reference_ms))
            for group, result in following(results_of(groups, meter, canary, pool), asked):
                marked = tuple(self._remarked(one, group) for one in result.measurements)
                group.clear()
                found |= {one.subject: one for one in marked}
                failures += result.failures
                if on_group:
                    try:
                        on_group(GroupResult(marked, result.failures))
                    except Stopped as wish:
                        asked.append(wish)
        if failures:
            raise failed(self.name, failures)
        return found

    @final
    def _built_canary(self, folder: Path, reference_ms: float | None) -> Canary | None:
        network = self.canary()
        return Canary(self.build(network, folder), reference_ms) if network else None

    @final
    def _remarked(self, one: Measurement, group: Group) -> Measurement:
        remarks = self.remarks(group.artefacts[one.subject])
        return replace(
            one,
            conditions={**one.conditions, **remarks.conditions},
            reasons=(*one.reasons, *remarks.reasons),
        )

    @final
    def _build_group(self, networks: Iterator[Network], home: Path, protocol: Protocol) -> Group:
        """The next networks in order, each distinct one built in a new folder at home."""
        folder = Path(tempfile.mkdtemp(dir=home))
        group = Group([], {}, folder)
        size_bytes = 0
        while len(group.subjects) < protocol.group_size and size_bytes < protocol.group_bytes:
            network = next(networks, None)
            if network is None:
                break
            group.subjects.append(network.key)
            if network.key not in group.artefacts:
                place = folder / network.key
                place.mkdir()
                group.artefacts[network.key] = path = self.build(network, place)
                size_bytes += path.stat().st_size
        return group
