"""Devices that are not here: their times are sums over blocks, from a table or from a cycle model.

The artefact is a block list, JSON: the chain of layers with what each costs. Its times are marked
`simulated`; no clock has seen them.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from datetime import datetime, timezone
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any, final

from hwnas.errors import InputError
from hwnas.files import checked, read_json, write_json
from hwnas.profilers.accelerators.accelerator import Accelerator
from hwnas.profilers.device import Device
from hwnas.profilers.machine.fingerprint import Fact, Fingerprint
from hwnas.profilers.measurement import EnergySource, Failure, Kind, Measurement
from hwnas.profilers.measuring.meter import Canary, GroupResult, Meter
from hwnas.profilers.measuring.protocol import Protocol
from hwnas.profilers.tables import BlockCost, BlockTable, block_key
from hwnas.profilers.tables.file import read_table, table_digest
from hwnas.spaces import Layer, Network, Pair, Space, subject_key
from hwnas.spaces.layer import describe

BLOCK_LIST = "blocks.json"
_LIST_VERSION = 1


class CostModel(ABC):
    """Where the costs of blocks come from.

    Attributes:
        title: for people.
        bits: the bitwidths it knows.
        pairs: the weight and activation bits that it knows together; the widest first.
        batch: images that its figures stand for.
        energy_source: what its energies are, where it has any.
        energy_boundary: what they include, for people.
    """

    title: str
    bits: tuple[int, ...]
    pairs: tuple[Pair, ...]
    batch: int
    energy_source: EnergySource
    energy_boundary: str

    @abstractmethod
    def facts(self) -> dict[str, Fact]:
        """Returns what the figures depend on."""

    @abstractmethod
    def refusal(self, layer: Layer) -> str | None:
        """Returns why there is no cost for a layer; None if there is one."""

    @abstractmethod
    def table(self, layers: Sequence[Layer]) -> BlockTable:
        """Returns a table that holds at least those of the layers that are not refused."""

    @abstractmethod
    def parts(self, layer: Layer) -> dict[str, float]:
        """Returns the time in ms of each part of a layer: `LAYER.OP`, or `LAYER` where it knows no parts."""


@final
class AcceleratorModel(CostModel):
    """An accelerator by its description: one image at a time."""

    batch = 1
    energy_source: EnergySource = "modelled"

    def __init__(self, accelerator: Accelerator) -> None:
        """Takes the accelerator as described."""
        self.accelerator = accelerator
        self.title = accelerator.title
        self.pairs = accelerator.pairs
        self.bits = tuple(sorted({bits for pair in self.pairs for bits in pair}, reverse=True))
        self.energy_boundary = accelerator.energy_boundary

    def facts(self) -> dict[str, Fact]:
        """Returns a digest of every constant of the model."""
        return {"model": self.title, "constants": self.accelerator.digest()}

    def refusal(self, layer: Layer) -> str | None:
        """Returns why neither the accelerator nor its fallback can run a layer; None if they can."""
        return self.accelerator.refusal(layer)

    def table(self, layers: Sequence[Layer]) -> BlockTable:
        """Returns the table of these layers, without those that are refused."""
        rows = {block_key(layer): self._cost(layer) for layer in layers if self.refusal(layer) is None}
        return BlockTable(self.accelerator.name, rows, None, self.batch, self.accelerator.clock_mhz)

    def parts(self, layer: Layer) -> dict[str, float]:
        """Returns the time of each operation."""
        prices = self.accelerator.prices(layer)
        return {f"{layer.name}.{name}": price.latency_ms for name, price in prices.items()}

    def _cost(self, layer: Layer) -> BlockCost:
        total, away = self.accelerator.total(layer), self.accelerator.runs_away(layer)
        other = self.accelerator.fallback
        source = self.title + (f"; {', '.join(away)} on {other.processor}" if away and other else "")
        return BlockCost(total.latency_ms, total.energy_mj, source)


@final
class TableModel(CostModel):
    """A table made elsewhere; what it does not hold is refused."""

    energy_source: EnergySource = "imported"
    energy_boundary = "as whoever made the block table drew it"

    def __init__(self, table: BlockTable) -> None:
        """Takes the table as it is."""
        self.held = table
        self.title = f"block table of {table.device}" + (table.validity and f", valid: {table.validity}")
        self.batch = table.batch
        held = {(row.weight_bits, row.activation_bits) for row in table.rows if row.quantizable}
        self.pairs = tuple(sorted(held, reverse=True))
        self.bits = tuple(sorted({bits for pair in held for bits in pair}, reverse=True))

    def facts(self) -> dict[str, Fact]:
        """Returns a digest of the table."""
        return {"model": self.title, "table": table_digest(self.held)}

    def refusal(self, layer: Layer) -> str | None:
        """Returns that the table lacks a layer; None if it has it."""
        return (
            None if self.held.cost(layer) else f"the block table has no row for {describe(block_key(layer))}"
        )

    def table(self, layers: Sequence[Layer]) -> BlockTable:
        """Returns the whole table."""
        return self.held

    def parts(self, layer: Layer) -> dict[str, float]:
        """Returns the time of the layer's row, which knows no parts."""
        cost = self.held.cost(layer)
        assert cost is not None, "the device has checked the layer"
        return {layer.name: cost.latency_ms}


@final
class SimulatedDevice(Device):
    """A device whose times are sums over blocks."""

    runtime = "simulated"
    kind: Kind = "simulated"
    energy_meters = ()

    def __init__(self, name: str, model: CostModel) -> None:
        """Makes a device of the costs; `name` is what the user calls it."""
        self.name = name
        self.model = model
        self.runtime = model.title
        self.bits = model.bits
        self.batch = model.batch

    @property
    def bit_pairs(self) -> tuple[Pair, ...]:
        """The weight and activation bits that the model knows together."""
        return self.model.pairs

    def table(self, space: Space) -> BlockTable:
        """Returns the costs of the whole vocabulary of a space, at every pair of bits of the device.

        Layers that the device refuses are left out: the table says which those are when a
        candidate needs them.
        """
        layers = [
            replace(layer, weight_bits=weights, activation_bits=activations)
            for layer, (weights, activations) in product(space.vocabulary, self.bit_pairs)
        ]
        return self.model.table(layers)

    def unavailable(self) -> str | None:
        """Returns None: a model runs anywhere."""
        return None

    def fingerprint(self) -> Fingerprint:
        """Returns the facts of the model: any machine gets the same times from it."""
        return self._fingerprint

    def refusal(self, layer: Layer) -> str | None:
        """Returns why the model has no cost for a layer with its bits; None if it has."""
        return self.model.refusal(layer)

    def build(self, network: Network, folder: Path) -> Path:
        """Returns the block list of a network; weights do not count.

        Raises:
            InputError: a layer that the device refuses.
        """
        self.check(network.layers)
        table = self.model.table(network.layers)
        total = table.total(network.layers)
        path = folder / BLOCK_LIST
        write_json(
            path,
            {
                "version": _LIST_VERSION,
                "device": self.name,
                "fingerprint": self.fingerprint().digest,
                "kind": self.kind,
                "batch": self.batch,
                "subject": network.key,
                "blocks": [_block(layer, table) for layer in network.layers],
                "constant_ms": table.constant.latency_ms if table.constant else 0.0,
                "latency_ms": total.latency_ms,
                "energy_mj": total.energy_mj,
            },
        )
        return path

    def meter(self, protocol: Protocol) -> AbstractContextManager[Meter]:
        """Returns a meter that adds up block lists; a model needs no protocol."""
        return nullcontext(_Adder(self))

    @cached_property
    def _fingerprint(self) -> Fingerprint:
        facts: dict[str, Fact] = {"device": self.name, "runtime": self.runtime}
        return Fingerprint({**facts, "threads": self.threads, "batch": self.batch, **self.model.facts()})


def table_device(path: Path) -> SimulatedDevice:
    """Returns the device `table:PATH` of a block table CSV.

    Raises:
        InputError: the table cannot be read or is not valid.
    """
    return SimulatedDevice(f"table:{path}", TableModel(read_table(path)))


@final
class _Adder(Meter):
    """Reads block lists back and looks their layers up again."""

    def __init__(self, device: SimulatedDevice) -> None:
        self._device = device

    def measure(self, artefacts: Mapping[str, Path], canary: Canary | None = None) -> GroupResult:
        """Returns a simulated measurement for each block list."""
        measurements, failures = [], []
        for subject, path in artefacts.items():
            try:
                measurements.append(self._measurement(subject, _layers(path)))
            except InputError as error:
                failures.append(Failure(subject, str(error)))
        return GroupResult(tuple(measurements), tuple(failures))

    def breakdown(self, artefact: Path) -> tuple[Mapping[str, float], float] | None:
        """Returns the parts of the sum, and the sum."""
        layers = _layers(artefact)
        self._device.check(layers)
        parts = {name: ms for layer in layers for name, ms in self._device.model.parts(layer).items()}
        return parts, self._device.model.table(layers).total(layers).latency_ms

    def _measurement(self, subject: str, layers: Sequence[Layer]) -> Measurement:
        device = self._device
        if subject_key(layers) != subject:
            raise InputError(f"the block list must be of the network {subject[:10]}, but is of another")
        device.check(layers)
        total = device.model.table(layers).total(layers)
        return Measurement(
            subject=subject,
            device=device.name,
            fingerprint=device.fingerprint().digest,
            kind=device.kind,
            latency_ms=total.latency_ms,
            p95_ms=total.latency_ms,
            ci_low_ms=total.latency_ms,
            ci_high_ms=total.latency_ms,
            samples_ms=(total.latency_ms,),
            energy_mj=total.energy_mj,
            energy_source=None if total.energy_mj is None else device.model.energy_source,
            energy=None
            if total.energy_mj is None
            else {"source": device.model.energy_source, "boundary": device.model.energy_boundary},
            conditions={"model": device.model.title},
            time=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        )


def _block(layer: Layer, table: BlockTable) -> dict[str, Any]:
    cost = table.cost(layer)
    assert cost is not None, "the caller has checked every layer"
    return {**asdict(layer), "latency_ms": cost.latency_ms, "energy_mj": cost.energy_mj}


def _layers(path: Path) -> list[Layer]:
    """The chain of a block list."""
    value = read_json(path, "block list")
    try:
        if value["version"] != _LIST_VERSION:
            raise InputError(
                f"block list {path} must be of version {_LIST_VERSION}, but is of {value['version']!r}"
            )
        layers = [checked(Layer, row) for row in value["blocks"]]
        sizes = [
            min(one.in_channels, one.out_channels, one.in_size_px, one.kernel, one.stride) for one in layers
        ]
        if min(sizes, default=1) < 1 or any(one.mid_channels < 0 for one in layers):
            raise ValueError("size: each must be at least 1")
        return layers
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"block list {path} must be one that hwnas wrote, but has no fitting {error}"
        ) from error
