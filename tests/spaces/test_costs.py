"""Peak memory of layers, against a simulation of which tensors are alive."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hwnas.spaces import Layer, operations
from hwnas.spaces.costs import CostTable, live_elements
from tests.chains import at_bits, residual_chain

CHANNELS = st.sampled_from([1, 3, 8, 16, 24, 40])
KINDS = ("conv", "residual_conv", "mbconv", "bottleneck", "max_pool")


@st.composite
def chains(draw: st.DrawFn) -> tuple[Layer, ...]:
    rows: list[Layer] = []
    channels, size = draw(CHANNELS), draw(st.integers(1, 20))
    for index in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from(KINDS))
        alike = kind in ("residual_conv", "max_pool") or draw(st.booleans())
        out = channels if alike else draw(CHANNELS)
        stride = 1 if kind == "residual_conv" else draw(st.integers(1, 2))
        mid = 0
        if kind in ("mbconv", "bottleneck"):
            mid = channels * draw(st.integers(1, 6))
        layer = Layer(
            kind,  # type: ignore[arg-type]
            channels,
            out,
            size,
            kernel=draw(st.sampled_from([1, 3, 5])),
            stride=stride,
            mid_channels=mid,
            se=kind == "mbconv" and draw(st.booleans()),
            activation="none" if kind == "max_pool" else "relu",
            norm=kind != "max_pool",
            name=f"l{index}",
        )
        rows.append(layer)
        channels, size = out, layer.out_size_px
    return tuple(rows)


def simulated_peak(layers: tuple[Layer, ...]) -> int:
    """The most elements alive while the chain runs, an operation at a time.

    A tensor lives from the operation that makes it to the last that reads it; sums and scalings write
    over what they read first; the vectors of squeeze-and-excitation take no room.
    """
    steps = list(operations(layers))
    last_use = {tensor: index for index, (_, _, reads) in enumerate(steps) for tensor in reads}
    last_use[f"{steps[-1][0].name}.{steps[-1][1].name}"] = len(steps)
    first = layers[0]
    alive = {"input": first.in_channels * first.in_size_px**2}
    peak = 0
    for index, (layer, op, reads) in enumerate(steps):
        elements = 0 if op.name.startswith("se_") else op.out_channels * op.out_size_px**2
        made = f"{layer.name}.{op.name}"
        if op.kind in ("add", "scale"):
            elements = alive.pop(reads[0])
        alive[made] = elements
        peak = max(peak, sum(alive.values()))
        alive = {tensor: size for tensor, size in alive.items() if last_use[tensor] > index}
    return peak


@given(chains())
def test_peak_memory_is_that_of_a_liveness_simulation(layers: tuple[Layer, ...]) -> None:
    counted = max(sum(phase) for layer in layers for phase in live_elements(layer))
    assert counted == simulated_peak(layers)


def test_every_kind_of_shortcut_is_right() -> None:
    layers = residual_chain(37)
    assert max(sum(phase) for layer in layers for phase in live_elements(layer)) == simulated_peak(layers)


def test_maps_of_eight_bits_take_a_quarter() -> None:
    chains = [residual_chain(37), at_bits(residual_chain(37), 8)]
    peaks = []
    for layers in chains:
        bits = np.array([[layer.activation_bits if layer.quantizable else 8 for layer in layers]])
        ids = np.arange(len(layers))[None]
        peaks.append(int(CostTable.of(layers).costs(ids, bits, bits).peak_memory_bytes[0]))
    assert peaks[0] == 4 * peaks[1]
