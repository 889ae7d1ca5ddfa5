"""The bit-serial array: passes by hand, and how time goes with bits."""

import pytest

from hwnas.profilers.accelerators import bit_serial
from hwnas.profilers.accelerators.bit_serial import BitSerial
from hwnas.profilers.accelerators.shipped import shipped_fields
from hwnas.spaces import Op

ARRAY = BitSerial.model_validate(shipped_fields("bismo"))
IDEAL = ARRAY.model_copy(
    update={"pass_overhead_bits": 0.0, "op_overhead_us": 0.0, "bandwidth_gb_per_s": 1000.0}
)


def test_the_array_has_the_rate_that_its_source_states() -> None:
    tops = 2 * ARRAY.rows * ARRAY.depth * ARRAY.columns * ARRAY.clock_mhz / 1e6
    assert tops == pytest.approx(15.4, rel=0.005)


def test_a_convolution_is_one_product_of_matrices() -> None:
    # 784 pixels in 79 rows of 10, 64 x 9 = 576 taps in 3 of 256, 64 filters in 7 of 10.
    op = Op("conv", "conv", 64, 64, 28, kernel=3)
    assert bit_serial.pass_cycles(op, ARRAY) == 79 * 3 * 7
    computing_us = 79 * 3 * 7 * (4 * 8 + 13) / 300
    assert bit_serial.op_latency_ms(op, (4, 8), ARRAY) == pytest.approx((computing_us + 10) / 1e3)


def test_a_depthwise_convolution_is_one_product_a_channel() -> None:
    op = Op("depthwise", "depthwise", 144, 144, 28, kernel=3)
    assert bit_serial.pass_cycles(op, ARRAY) == 144 * 79


def test_ideally_time_goes_with_the_product_of_bits_and_really_less_so() -> None:
    op = Op("conv", "conv", 256, 256, 28, kernel=3)

    def gain(array: BitSerial) -> float:
        return bit_serial.op_latency_ms(op, (4, 4), array) / bit_serial.op_latency_ms(op, (2, 2), array)

    assert gain(IDEAL) == pytest.approx(4)
    assert 1.46 < gain(ARRAY) < 1.94  # as measured on ZCU104


def test_a_memory_bound_layer_takes_its_traffic() -> None:
    op = Op("add", "add", 24, 24, 28)
    assert bit_serial.op_latency_ms(op, (8, 8), IDEAL) == pytest.approx(3 * 24 * 784 / 1e6 / 1e3)
