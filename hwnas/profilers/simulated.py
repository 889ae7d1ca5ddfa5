"""Devices that are not here: their times are sums over blocks, from a table or from a cycle model.

The artefact is a block list, JSON: the chain of layers with what each costs. Its times are marked
`simulated`; no clock has seen them.
"""

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
from hwnas.profilers.cost_models import CostModel, TableModel
from hwnas.profilers.device import Device
from hwnas.profilers.machine.fingerprint import Fact, Fingerprint
from hwnas.profilers.measurement import Failure, Kind, Measurement
from hwnas.profilers.measuring.meter import Canary, GroupResult, Meter
from hwnas.profilers.measuring.protocol import Protocol
from hwnas.profilers.tables import BlockTable
from hwnas.profilers.tables.file import read_table
from hwnas.spaces import Layer, Network, Pair, Space, subject_key

BLOCK_LIST = "blocks.json"
_LIST_VERSION = 1


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
