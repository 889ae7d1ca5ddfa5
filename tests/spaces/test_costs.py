"""Peak memory of layers, against a simulation of which tensors are alive."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hwnas.spaces import Layer
from hwnas.spaces.costs import CostTable
from tests.chains import at_bits, residual_chain, simulated_peak

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


def counted_peak(layers: tuple[Layer, ...]) -> int:
    bits = np.array([[layer.activation_bits if layer.quantizable else 32 for layer in layers]])
    ids = np.arange(len(layers))[None]
    return int(CostTable.of(layers).costs(ids, bits, bits).peak_memory_bytes[0])


def with_bits(layers: tuple[Layer, ...], widths: list[int]) -> tuple[Layer, ...]:
    return tuple(
        replace(layer, weight_bits=bits, activation_bits=bits) if layer.quantizable else layer
        for layer, bits in zip(layers, widths, strict=False)
    )


@given(chains(), st.lists(st.sampled_from([4, 6, 8, 32]), min_size=6, max_size=6))
def test_peak_memory_is_that_of_a_liveness_simulation(layers: tuple[Layer, ...], bits: list[int]) -> None:
    mixed = with_bits(layers, bits)
    assert counted_peak(mixed) == simulated_peak(mixed)


def test_every_kind_of_shortcut_is_right_at_any_bits() -> None:
    for seed in range(20):
        layers = residual_chain(37)
        bits = np.random.default_rng(seed).choice([4, 6, 8, 32], size=len(layers)).tolist()
        mixed = with_bits(layers, bits)
        assert counted_peak(mixed) == simulated_peak(mixed)


def test_maps_of_eight_bits_take_a_quarter() -> None:
    assert counted_peak(residual_chain(37)) == 4 * counted_peak(at_bits(residual_chain(37), 8))


def test_bits_scale_bitops_and_packed_weights_by_hand() -> None:
    layers = (
        Layer("conv", 3, 8, 4, kernel=3, stride=1, weight_bits=4, activation_bits=6, name="a"),
        Layer("conv", 8, 5, 4, weight_bits=6, activation_bits=8, name="b"),
    )
    ids, weights, activations = np.array([[0, 1]]), np.array([[4, 6]]), np.array([[6, 8]])
    costs = CostTable.of(layers).costs(ids, weights, activations)
    assert costs.bitops[0] == 3 * 8 * 9 * 16 * 4 * 6 + 8 * 5 * 16 * 6 * 8
    assert costs.weight_bytes[0] == 216 * 4 // 8 + 4 * 8 + 40 * 6 // 8 + 4 * 5
    # The map between the two has the fewer of their bits.
    assert costs.peak_memory_bytes[0] == max((48 + 128) * 6 // 8, 128 * 6 // 8 + 80)
