"""Energy by a model, where there is no meter: arithmetic, memory traffic and static power at stated prices.

It ranks networks on an accelerator; on a processor most energy goes into what is not counted here
(instructions, clocks, leakage), which only `static_w` can stand for. Its figures are `modelled` wherever
they appear.
"""

from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from hwnas.errors import InputError
from hwnas.files import read_text
from hwnas.profilers.measurement import Measurement
from hwnas.spaces import FLOAT_BITS, INPUT, Candidates, Layer, activation_bits, operations
from hwnas.spaces.yaml_model import validated
from hwnas.spaces.yaml_text import parse_yaml

_CONSTANTS = "constants.yaml"
_MOST_BYTES = 2**20
_BOUNDARY = "arithmetic, on-chip memory and external memory by a model, and static power where that is given"

Price = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Bytes = Annotated[int, Field(ge=0, le=1 << 50)]


class EnergyModel(BaseModel):
    """The prices; the fields are those of a constants file, which explains each.

    Attributes:
        float_mac_pj, int8_mac_pj: a multiply-accumulate in floating point, and of 8 x 8 bits.
        narrowest_bits: operands of fewer bits are computed as if they had these.
        sram_pj_per_bit, dram_pj_per_bit: a bit read or written on the chip, and off it.
        map_buffer_bytes: an operation whose maps fit together moves none of them off the chip.
        weight_buffer_bytes: weights that stay on the chip from one inference to the next.
        static_w: taken as long as the network runs.
        sources: where each figure is from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=100)]
    float_mac_pj: Price
    int8_mac_pj: Price
    narrowest_bits: Annotated[int, Field(ge=1, le=16)] = 2
    sram_pj_per_bit: Price
    dram_pj_per_bit: Price
    map_buffer_bytes: Bytes
    weight_buffer_bytes: Bytes
    static_w: Price
    sources: dict[str, str] = {}

    def mac_pj(self, weight_bits: int, activation_bits: int) -> float:
        """Returns the price of one multiply-accumulate.

        Source: BitFusion (Sharma et al., ISCA 2018), whose units of 2 x 2 bits join for wider operands.
        """
        if FLOAT_BITS in (weight_bits, activation_bits):
            return self.float_mac_pj
        wide, high = (
            _power_of_two(max(bits, self.narrowest_bits)) for bits in (weight_bits, activation_bits)
        )
        return self.int8_mac_pj * wide * high / 64


def read_energy_model(path: Path | None = None) -> EnergyModel:
    """Returns the model of a constants file (YAML, or JSON, which is YAML too); None for the built-in one.

    Raises:
        InputError: the file cannot be read, or a field is missing, unknown or out of range; the message
            names the first wrong lines.
    """
    built_in = Path(str(files("hwnas.profilers.energy") / _CONSTANTS))
    path = path or built_in
    text = read_text(path, "the constants of energy", _MOST_BYTES)
    value, lines = parse_yaml(text, str(path), "file of energy constants", f"cat {built_in}")
    return validated(EnergyModel, value, str(path), lines)


def modelled_energy_mj(layers: Sequence[Layer], latency_ms: float, model: EnergyModel) -> float:
    """Returns the energy of one inference of a chain that takes so long.

    Every operation reads its inputs and its weights once and writes its output once; pooling, adding,
    scaling and activations cost their traffic alone.
    """
    bits = activation_bits(layers)
    elements = {INPUT: layers[0].in_channels * layers[0].in_size_px ** 2}
    weight_bits = sum(op.weights * layer.weight_bits for layer in layers for op in layer.ops)
    off_chip = max(0, weight_bits - 8 * model.weight_buffer_bytes)
    on_chip, arithmetic_pj = weight_bits, 0.0
    for layer, op, reads in operations(layers):
        made = f"{layer.name}.{op.name}"
        elements[made] = op.out_channels * op.out_size_px**2
        arithmetic_pj += op.macs * model.mac_pj(layer.weight_bits, layer.activation_bits)
        moved = sum(elements[tensor] * bits.get(tensor, FLOAT_BITS) for tensor in (*reads, made))
        on_chip += moved
        off_chip += moved if moved > 8 * model.map_buffer_bytes else 0
    memory_pj = on_chip * model.sram_pj_per_bit + off_chip * model.dram_pj_per_bit
    # 1e9 pJ are a mJ; W x ms are mJ.
    return (arithmetic_pj + memory_pj) / 1e9 + model.static_w * latency_ms


def with_modelled_energy(
    measurements: Sequence[Measurement], candidates: Candidates, model: EnergyModel
) -> list[Measurement]:
    """Returns the measurements with modelled energies, in order; those that a device modelled stay.

    They are not for the store: another file of constants gives others.

    Args:
        measurements: one for each candidate; their latencies count where `static_w` is given.
        candidates: what was measured.
        model: the prices.

    Raises:
        InputError: a measurement has an energy from a block table, which is the better one.
    """
    return [_with_energy(one, candidates.layers(row), model) for row, one in enumerate(measurements)]


def _with_energy(one: Measurement, layers: Sequence[Layer], model: EnergyModel) -> Measurement:
    if one.energy_source == "modelled":
        return one
    if one.energy_source == "imported":
        raise InputError(
            f"the energies of device '{one.device}' come from its block table, which knows better; "
            "leave --energy modelled out"
        )
    about: dict[str, Any] = {
        "source": "modelled",
        "model": model.name,
        "constants": model.model_dump(exclude={"name", "sources"}),
        "boundary": _BOUNDARY,
    }
    energy_mj = modelled_energy_mj(layers, one.latency_ms, model)
    return replace(one, energy_mj=energy_mj, energy_source="modelled", energy=about)


def _power_of_two(number: int) -> int:
    return 1 << (number - 1).bit_length()
