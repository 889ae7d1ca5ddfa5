"""The closed form of BitFusion: cycles of layers worked out by hand from its published constants."""

import pytest

from hwnas.profilers.accelerators import bitfusion
from hwnas.profilers.accelerators.bitfusion import BitFusion
from hwnas.profilers.accelerators.shipped import shipped_fields
from hwnas.spaces import Layer, Op

CHIP = BitFusion.model_validate(shipped_fields("bitfusion"))


def joined(compute: float, bits: float) -> float:
    """One call: the norm of computing and moving, and its fixed start."""
    return float(((1.003 * compute) ** 4.96 + (1.002 * bits / 192) ** 4.96) ** (1 / 4.96)) + 289


@pytest.mark.parametrize(
    ("pair", "products"),
    [
        ((8, 8), 1),
        ((4, 4), 4),
        ((2, 2), 16),
        ((4, 8), 2),
        ((8, 2), 4),
        ((6, 6), 1),  # at 8-bit speed
        ((6, 4), 2),
        ((3, 3), 4),  # at 4-bit speed
        ((5, 8), 1),
    ],
)
def test_units_fuse_for_2_4_or_8_bits(pair: tuple[int, int], products: int) -> None:
    assert bitfusion.fusion(pair) == products


class TestConvolutions:
    def test_a_pointwise_convolution_that_fits_the_chip(self) -> None:
        # 24 -> 144 at 28 px: 784 px, ceil(24/16) = 2 input and ceil(144/32) = 5 output groups.
        op = Op("expand", "conv", 24, 144, 28)
        bits = 24 * 784 * 8 + 24 * 144 * 8 + 64 * 144 * 784
        assert bitfusion.compute_cycles(op, (8, 8), CHIP) == 784 * 2 * 5
        assert bitfusion.moved_bits(op, (8, 8), CHIP) == bits
        assert bitfusion.op_cycles(op, (8, 8), CHIP) == pytest.approx(joined(7840, bits))

    def test_fewer_bits_fuse_along_the_input_channels(self) -> None:
        # 64 input groups of 16 x 4: ceil(96/64) = 2 rather than 6.
        op = Op("project", "conv", 96, 40, 14)
        bits = 96 * 196 * 4 + 96 * 40 * 4 + 64 * 40 * 196
        assert bitfusion.compute_cycles(op, (4, 4), CHIP) == 196 * 2 * 2
        assert bitfusion.op_cycles(op, (4, 4), CHIP) == pytest.approx(joined(784, bits))

    def test_a_strided_3x3_convolution(self) -> None:
        # 3 -> 32 at 224 px, 112 px out: 9 taps, one group each way.
        op = Op("stem", "conv", 3, 32, 224, kernel=3, stride=2)
        bits = 3 * 224**2 * 8 + 864 * 8 + 64 * 32 * 112**2
        assert bitfusion.op_cycles(op, (8, 8), CHIP) == pytest.approx(joined(112**2 * 9, bits))

    def test_operands_that_fit_no_buffer_are_read_again(self) -> None:
        # Weights 512 x 512 x 9 x 8 bits = 18,874,368: 72 halves of 32 KiB. Inputs 512 x 28^2 x 8 =
        # 3,211,264: 24.5, so 25, halves of 16 KiB.
        op = Op("conv", "conv", 512, 512, 28, kernel=3)
        inputs, weights = 512 * 784 * 8, 512 * 512 * 9 * 8
        read = min(inputs * 72 + weights, inputs + weights * 25)
        assert bitfusion.moved_bits(op, (8, 8), CHIP) == read + 64 * 512 * 784
        # At 4 x 4 bits: 36 parts of weights, 13 of inputs.
        read = min(inputs // 2 * 36 + weights // 2, inputs // 2 + weights // 2 * 13)
        assert bitfusion.moved_bits(op, (4, 4), CHIP) == read + 64 * 512 * 784

    def test_six_bits_save_memory_alone(self) -> None:
        op = Op("conv", "conv", 64, 64, 28, kernel=3)
        assert bitfusion.compute_cycles(op, (6, 6), CHIP) == bitfusion.compute_cycles(op, (8, 8), CHIP)
        assert bitfusion.moved_bits(op, (6, 6), CHIP) < bitfusion.moved_bits(op, (8, 8), CHIP)

    def test_a_classifier_is_bound_by_its_weights(self) -> None:
        op = Op("linear", "linear", 1280, 1000, 1)
        bits = 1280 * 8 + 1_280_000 * 8 + 64_000
        assert bitfusion.op_cycles(op, (8, 8), CHIP) == pytest.approx(joined(80 * 32, bits))


class TestDepthwise:
    def test_it_is_emulated_by_dense_convolutions_each_a_call(self) -> None:
        # 144 channels, 8 at a time: 18 dense 8 -> 8 convolutions at 28 px.
        op = Op("depthwise", "depthwise", 144, 144, 28, kernel=3)
        one = joined(784 * 9, 8 * 784 * 8 + 8 * 8 * 9 * 8 + 64 * 8 * 784)
        assert bitfusion.op_cycles(op, (8, 8), CHIP) == pytest.approx(18 * one)

    def test_fewer_bits_take_more_channels_at_a_time(self) -> None:
        # 4 x 4 bits: 32 channels, so ceil(144/32) = 5 calls of 32 -> 32.
        op = Op("depthwise", "depthwise", 144, 144, 28, kernel=5, stride=2)
        one = joined(196 * 25, 32 * 784 * 4 + 32 * 32 * 25 * 4 + 64 * 32 * 196)
        assert bitfusion.op_cycles(op, (4, 4), CHIP) == pytest.approx(5 * one)


def test_what_has_no_weights_takes_its_traffic() -> None:
    op = Op("add", "add", 24, 24, 28)
    assert bitfusion.op_cycles(op, (8, 6), CHIP) == pytest.approx(joined(0, 3 * 24 * 784 * 6))


def test_time_and_energy_of_a_layer_by_hand() -> None:
    layer = Layer("conv", 32, 64, 14, kernel=1, weight_bits=4, activation_bits=8)
    compute, bits = 196 * 1 * 2, 32 * 196 * 8 + 2048 * 4 + 64 * 64 * 196
    price = CHIP.total(layer)
    assert price.latency_ms == pytest.approx(joined(compute, bits) / 500e3)
    arithmetic = 32 * 64 * 196 * 0.46 / 2
    on_chip = compute * (16 * 2 * 8 + 2 * 32 * 32) * 0.156
    assert price.energy_mj == pytest.approx((arithmetic + on_chip + 15 * bits) / 1e9)


def test_bits_that_are_no_choice_are_refused_by_name() -> None:
    layer = Layer("conv", 32, 64, 14, weight_bits=2, activation_bits=8)
    assert "w8a8, w8a6" in str(CHIP.refusal(layer))
    assert "2-bit weights and 8-bit activations" in str(CHIP.refusal(layer))
    wider = BitFusion.model_validate({**shipped_fields("bitfusion"), "weight_bits": [8, 2]})
    assert wider.refusal(layer) is None
