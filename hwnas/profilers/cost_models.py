"""Where the costs of blocks come from, for devices that are not here: a cycle model, or a table."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import final

from hwnas.profilers.accelerators.accelerator import Accelerator
from hwnas.profilers.machine.fingerprint import Fact
from hwnas.profilers.measurement import EnergySource
from hwnas.profilers.tables import BlockCost, BlockTable, block_key
from hwnas.profilers.tables.file import table_digest
from hwnas.spaces import Layer, Pair
from hwnas.spaces.layer import describe


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
