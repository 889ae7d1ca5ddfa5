"""Devices that are not here: their times are sums over blocks, from a table or from a cycle model.

The artefact is a block list, JSON: the chain of layers with what each costs. Its times are marked
`simulated`; no clock has seen them.
"""

import hashlib
import json
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
from hwnas.profilers import dpu
from hwnas.profilers.device import Canary, Device, GroupResult, Meter
from hwnas.profilers.fingerprint import Fact, Fingerprint
from hwnas.profilers.measurement import EnergySource, Failure, Kind, Measurement
from hwnas.profilers.protocol import Protocol
from hwnas.profilers.table_file import read_table, table_digest
from hwnas.profilers.tables import BlockCost, BlockTable, block_key, describe
from hwnas.spaces import Layer, Network, Space, subject_key

BLOCK_LIST = "blocks.json"
_LIST_VERSION = 1


class CostModel(ABC):
    """Where the costs of blocks come from.

    Attributes:
        title: for people.
        bits: the bitwidths it knows, for weights and activations alike.
        batch: images that its figures stand for.
        energy_source: what its energies are, where it has any.
        energy_boundary: what they include, for people.
    """

    title: str
    bits: tuple[int, ...]
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
class DpuModel(CostModel):
    """The cycle model of a DPU: one image on one core, the others idle."""

    bits = (dpu.BITS,)
    batch = 1
    energy_source: EnergySource = "modelled"
    energy_boundary = "the whole board, at the power it takes with one core busy"

    def __init__(self, accelerator: dpu.Accelerator) -> None:
        """Takes the DPU as described."""
        self.accelerator = accelerator
        self.title = f"{accelerator.name} at {accelerator.clock_mhz:g} MHz, cycle model"

    def facts(self) -> dict[str, Fact]:
        """Returns a digest of every constant of the model."""
        text = json.dumps(self.accelerator.model_dump(), sort_keys=True)
        return {"model": self.title, "constants": hashlib.sha256(text.encode()).hexdigest()[:16]}

    def refusal(self, layer: Layer) -> str | None:
        """Returns why the DPU cannot run a layer; None if it can."""
        return dpu.refusal(layer, self.accelerator)

    def table(self, layers: Sequence[Layer]) -> BlockTable:
        """Returns the table of these layers, without those that the DPU refuses."""
        rows = {block_key(layer): self._cost(layer) for layer in layers if self.refusal(layer) is None}
        return BlockTable(self.accelerator.name, rows, None, self.batch, self.accelerator.clock_mhz)

    def parts(self, layer: Layer) -> dict[str, float]:
        """Returns the time of each operation."""
        return {f"{layer.name}.{op.name}": dpu.latency_ms([op], self.accelerator) for op in layer.ops}

    def _cost(self, layer: Layer) -> BlockCost:
        latency_ms = dpu.layer_latency_ms(layer, self.accelerator)
        return BlockCost(latency_ms, dpu.energy_mj(latency_ms, self.accelerator), "DPU cycle model")


@final
class TableModel(CostModel):
    """A table made elsewhere; what it does not hold is refused."""

    energy_source: EnergySource = "imported"
    energy_boundary = "as whoever made the block table drew it"

    def __init__(self, table: BlockTable) -> None:
        """Takes the table as it is."""
        self._table = table
        self.title = f"block table of {table.device}" + (table.validity and f", valid: {table.validity}")
        self.batch = table.batch
        weighted = [layer for layer in table.rows if layer.quantizable]
        alike = {layer.weight_bits for layer in weighted if layer.weight_bits == layer.activation_bits}
        self.bits = tuple(sorted(alike or {layer.weight_bits for layer in weighted}, reverse=True))

    def facts(self) -> dict[str, Fact]:
        """Returns a digest of the table."""
        return {"model": self.title, "table": table_digest(self._table)}

    def refusal(self, layer: Layer) -> str | None:
        """Returns that the table lacks a layer; None if it has it."""
        return (
            None
            if self._table.cost(layer)
            else f"the block table has no row for {describe(block_key(layer))}"
        )

    def table(self, layers: Sequence[Layer]) -> BlockTable:
        """Returns the whole table."""
        return self._table

    def parts(self, layer: Layer) -> dict[str, float]:
        """Returns the time of the layer's row, which knows no parts."""
        cost = self._table.cost(layer)
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

    def table(self, space: Space) -> BlockTable:
        """Returns the costs of the whole vocabulary of a space, at every bitwidth of the device.

        Layers that the device refuses are left out: the table says which those are when a
        candidate needs them.
        """
        layers = [
            replace(layer, weight_bits=bits, activation_bits=bits)
            for layer, bits in product(space.vocabulary, self.bits)
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


def dpu_device(board: str = "zcu102") -> SimulatedDevice:
    """Returns the device `fpga-BOARD-dpu`, the DPU of a board by its cycle model.

    Raises:
        InputError: no such board.
    """
    return SimulatedDevice(f"fpga-{board}-dpu", DpuModel(dpu.get_accelerator(board)))


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
        return [checked(Layer, row) for row in value["blocks"]]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"block list {path} must be one that hwnas wrote, but has no fitting {error}"
        ) from error
