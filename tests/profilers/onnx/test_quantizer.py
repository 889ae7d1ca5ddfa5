import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.errors import InputError
from hwnas.profilers.onnx.quantizer import (
    activation_quantizer,
    bias_scales,
    fake_quantized_weight,
    quantized_bias,
    quantized_weight,
    scales_for_bias,
    weight_scales,
)


def test_a_range_of_zero_to_six_has_its_zero_at_the_bottom() -> None:
    found = activation_quantizer(0.0, 6.0, 8)
    assert found.scale == np.float32(6 / 255)
    assert (found.zero_point, found.levels) == (0, 255)


def test_a_range_on_both_sides_puts_zero_between() -> None:
    found = activation_quantizer(-1.0, 3.0, 8)
    assert found.zero_point == 64  # 1 / (4 / 255) = 63.75
    assert found.scale == np.float32(4 / 255)


def test_a_range_that_misses_zero_is_widened_to_it() -> None:
    assert activation_quantizer(2.0, 4.0, 8) == activation_quantizer(0.0, 4.0, 8)
    assert activation_quantizer(-4.0, -2.0, 8) == activation_quantizer(-4.0, 0.0, 8)


def test_a_range_of_nothing_but_zero_keeps_zero() -> None:
    found = activation_quantizer(0.0, 0.0, 8)
    assert (found.scale, found.zero_point) == (1.0, 0)


@given(
    low=st.floats(-1e4, 1e4, width=32),
    high=st.floats(-1e4, 1e4, width=32),
    bits=st.integers(1, 8),
)
def test_zero_is_exact_and_values_in_range_are_off_by_half_a_step(low: float, high: float, bits: int) -> None:
    low, high = min(low, high), max(low, high)
    found = activation_quantizer(low, high, bits)
    values = np.linspace(min(low, 0), max(high, 0), 41).astype(np.float32)
    assert found.fake(np.zeros(1, np.float32))[0] == 0
    assert 0 <= found.zero_point <= found.levels
    # The zero point is rounded, so the ends may lie another half step outside.
    assert np.abs(found.fake(values) - values).max() <= found.scale * 1.001


@pytest.mark.parametrize(("low", "high"), [(1.0, 0.0), (np.nan, 1.0), (0.0, np.inf)])
def test_a_range_that_is_none_is_refused(low: float, high: float) -> None:
    with pytest.raises(InputError, match="range"):
        activation_quantizer(low, high, 8)


def test_weights_scale_by_channel_and_reach_both_ends() -> None:
    weight = np.array([[1.27, -0.3], [0.0, -2.54]], np.float32)
    scales = weight_scales(weight, 8)
    np.testing.assert_allclose(scales, [0.01, 0.02], rtol=1e-6)
    np.testing.assert_array_equal(quantized_weight(weight, scales, 8), [[127, -30], [0, -127]])


def test_fewer_bits_use_a_narrower_range_of_the_same_container() -> None:
    weight = np.linspace(-1, 1, 64, dtype=np.float32).reshape(1, 64)
    for bits, limit in ((8, 127), (4, 7), (2, 1)):
        integers = quantized_weight(weight, weight_scales(weight, bits), bits)
        assert integers.dtype == np.int8
        assert (integers.min(), integers.max()) == (-limit, limit)


def test_a_channel_of_zeros_stays_zero() -> None:
    weight = np.zeros((2, 3, 1, 1), np.float32)
    assert np.array_equal(weight_scales(weight, 8), [1, 1])
    assert np.array_equal(fake_quantized_weight(weight, 8), weight)


def test_a_bias_that_would_overflow_coarsens_only_its_channel() -> None:
    weight = np.array([[1e-9], [1.0]], np.float32)
    bias = np.array([5.0, 5.0], np.float32)
    scales = weight_scales(weight, 8)
    raised = scales_for_bias(scales, bias, 0.02)
    assert raised[0] > scales[0]
    assert raised[1] == scales[1]
    integers = quantized_bias(bias, raised, 0.02)
    np.testing.assert_allclose(integers * bias_scales(raised, 0.02), bias, rtol=1e-3)


@pytest.mark.parametrize("bits", [0, 1, 9, 32])
def test_weights_of_other_bits_are_refused(bits: int) -> None:
    with pytest.raises(InputError, match="bits"):
        weight_scales(np.ones((1, 1), np.float32), bits)


def test_weights_that_are_not_finite_are_refused() -> None:
    with pytest.raises(InputError, match="finite"):
        weight_scales(np.array([[np.nan]], np.float32), 8)
