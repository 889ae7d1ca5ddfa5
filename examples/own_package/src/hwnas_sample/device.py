"""A device of one's own: an accelerator on paper, by a roofline model; `hwnas devices sample-chip`."""

from collections.abc import Sequence

from hwnas.profilers import Device
from hwnas.profilers.cost_models import CostModel
from hwnas.profilers.machine.fingerprint import Fact
from hwnas.profilers.measurement import EnergySource
from hwnas.profilers.simulated import SimulatedDevice
from hwnas.profilers.tables import BlockCost, BlockTable, block_key
from hwnas.spaces import Layer, Space

MACS_PER_MS = 2e8  # at 8 by 8 bits; half as many where the product of the bits is twice as large
BYTES_PER_MS = 1e6
LAUNCH_MS = 0.002


class Roofline(CostModel):
    """A layer takes as long as its arithmetic or its weights' way on the chip, whichever is longer."""

    title = "sample chip, roofline"
    bits = (8, 4)
    pairs = ((8, 8), (4, 4))
    batch = 1
    energy_source: EnergySource = "modelled"
    energy_boundary = "the chip"

    def facts(self) -> dict[str, Fact]:
        """Returns the constants."""
        return {"model": self.title, "constants": f"{MACS_PER_MS:g} {BYTES_PER_MS:g} {LAUNCH_MS:g}"}

    def refusal(self, layer: Layer) -> str | None:
        """Returns that the chip has no floating point."""
        return "the sample chip runs 4 and 8 bits" if layer.quantizable and not layer.quantized else None

    def table(self, layers: Sequence[Layer]) -> BlockTable:
        """Returns the costs of the layers that are not refused."""
        kept = [layer for layer in layers if self.refusal(layer) is None]
        costs = {block_key(layer): BlockCost(sum(self.parts(layer).values())) for layer in kept}
        return BlockTable("sample-chip", costs)

    def parts(self, layer: Layer) -> dict[str, float]:
        """Returns the time of each operation, ms."""
        pace = MACS_PER_MS * 64 / (layer.weight_bits * layer.activation_bits)
        return {
            f"{layer.name}.{op.name}": LAUNCH_MS
            + max(op.macs / pace, op.weights * layer.weight_bits / 8 / BYTES_PER_MS)
            for op in layer.ops
        }


def sample_chip(space: Space | None) -> Device:
    """Returns the device; it runs networks of any space."""
    return SimulatedDevice("sample-chip", Roofline())
