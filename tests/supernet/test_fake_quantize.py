import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.profilers.onnx.quantizer import activation_quantizer, quantized_weight, weight_scales
from hwnas.supernet.fake_quantize import (
    Range,
    activation_step,
    fake_quantized,
    fake_quantized_weight,
    range_of,
    weight_steps,
)


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@given(seed=st.integers(0, 10_000), bits=st.integers(2, 8), spread=st.sampled_from([1e-3, 1.0, 50.0]))
@settings(max_examples=40, deadline=None)
def test_weights_are_quantized_as_in_exported_files(seed: int, bits: int, spread: float) -> None:
    weight = spread * drawn(seed, 5, 3, 3, 3)
    scales = weight_scales(weight.numpy(), bits)
    np.testing.assert_array_equal(weight_steps(weight, bits).flatten().numpy(), scales)
    expected = quantized_weight(weight.numpy(), scales, bits) * scales[:, None, None, None]
    np.testing.assert_allclose(fake_quantized_weight(weight, bits).numpy(), expected, rtol=1e-6)


@given(
    low=st.floats(-20, 5),
    width=st.floats(0, 30),
    bits=st.integers(1, 8),
)
@settings(max_examples=60, deadline=None)
def test_activations_are_quantized_as_in_exported_files(low: float, width: float, bits: int) -> None:
    ends = Range(torch.tensor(low), torch.tensor(low + width))
    expected = activation_quantizer(ends.low.item(), ends.high.item(), bits)
    step = activation_step(ends, bits)
    assert step.scale.item() == pytest.approx(expected.scale, rel=1e-6)
    zero, levels = expected.zero_point, expected.levels
    if abs(-ends.low.item() / expected.scale % 1 - 0.5) > 1e-4:  # else either neighbour is right
        assert (step.lowest.item(), step.highest.item()) == (-zero, levels - zero)


def test_values_come_back_on_the_grid_and_within_half_a_step() -> None:
    x = drawn(0, 2, 4, 5, 5)
    step = activation_step(Range(torch.tensor(-1.0), torch.tensor(2.0)), 4)
    made = fake_quantized(x, step)
    integers = made / step.scale
    torch.testing.assert_close(integers, integers.round(), atol=1e-4, rtol=0)
    inside = (x > -1) & (x < 2)
    assert float((made - x)[inside].abs().max()) <= step.scale.item() / 2 + 1e-6
    assert float(made.max()) == pytest.approx(2.0)


def test_an_activation_has_a_gradient_where_it_is_not_clipped_and_a_weight_everywhere() -> None:
    x = torch.tensor([[-9.0, 0.3, 0.7, 9.0]], requires_grad=True)
    step = activation_step(Range(torch.tensor(0.0), torch.tensor(1.0)), 8)
    (fake_quantized(x, step) * torch.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[0, 2, 3, 0]]
    weight = drawn(1, 2, 8).requires_grad_()
    (fake_quantized_weight(weight, 2) * 3).sum().backward()
    assert weight.grad is not None
    assert (weight.grad == 3).all()


def test_few_bits_clip_weights_to_a_smaller_error() -> None:
    weight = drawn(2, 16, 200)
    largest = weight.abs().amax(1, keepdim=True) / 7
    unclipped = (weight / largest).round() * largest
    error = (fake_quantized_weight(weight, 4) - weight).square().sum(1)
    assert (error <= (unclipped - weight).square().sum(1) * 1.0001).all()
    assert float(error.sum()) < 0.9 * float((unclipped - weight).square().sum())


def test_the_range_leaves_out_the_rarest_values_and_more_of_them_at_few_bits() -> None:
    x = drawn(3, 8, 16, 16, 16)
    x[0, 0, 0, 0] = 1e6  # one in 32,768
    eight, four = range_of(x, 8), range_of(x, 4)
    assert 2 < float(four.high) < 10
    assert float(four.high) < float(eight.high)
    assert float(four.low) > float(eight.low)


@pytest.mark.parametrize("channels", [1, 3, 40])
def test_ranges_look_at_all_channels_alike(channels: int) -> None:
    x = torch.zeros(20, channels, 40, 40)
    for channel in range(channels):
        alone = x.clone()
        alone[:, channel] = 1.0
        assert float(range_of(alone, 8).high) == 1.0


def test_what_a_hard_function_cuts_off_takes_no_part_of_the_range() -> None:
    x = torch.linspace(-9, 9, 64).view(1, 1, 8, 8)
    assert float(range_of(x, 8, "h_swish").low) == -3
    assert float(range_of(x, 8, "h_swish").high) == 9
    ends = range_of(x, 8, "h_sigmoid")
    assert (float(ends.low), float(ends.high)) == (-3, 3)
