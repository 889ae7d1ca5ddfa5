"""The supernet under a bitwidth policy, and the network that is cut out of it under the same one."""

from itertools import count

import numpy as np
import pytest
import torch

from hwnas.data.digits import SplitSizes, digits
from hwnas.errors import InputError
from hwnas.profilers.onnx.quantizer import fake_quantized_weight
from hwnas.spaces import FLOAT_BITS, BitwidthPolicy, Candidates, activation_bits
from hwnas.supernet import (
    Evaluator,
    FoldedNetwork,
    Supernet,
    calibrated,
    demo_supernet_path,
    load_supernet,
    recalibrate,
    to_network,
)
from hwnas.supernet.chain import own_layers
from hwnas.supernet.quantized_run import QuantizedRun
from tests.supernet.conftest import telling


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(32, 3, 24, 24, generator=torch.Generator().manual_seed(3))


def drawn_policies(space, n: int, choices=(4, 6, 8, FLOAT_BITS), seed: int = 0):
    """Yields architectures with random policies."""
    rng = np.random.default_rng(seed)
    genomes = space.sample_genomes(n, rng)
    bits = rng.choice(choices, size=(2, n, len(space.slots)))
    for candidate in Candidates.of_genomes(space, genomes, *bits).unpack():
        yield candidate.architecture, candidate.bits


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def test_the_supernet_equals_the_subnet_under_the_same_policy(space, images) -> None:
    supernet = telling(space)
    for architecture, bits in drawn_policies(space, 10):
        layers = own_layers(space, architecture, bits)
        subnet = supernet.extract(architecture)
        for layer in layers:
            for op in layer.ops:
                if op.weights and layer.weight_bits < FLOAT_BITS:
                    weight = subnet.get_submodule(f"{layer.name}.{op.name}").weight
                    exact = weight.detach().contiguous().numpy()
                    weight.data = torch.from_numpy(fake_quantized_weight(exact, layer.weight_bits))
        with torch.inference_mode():
            static = subnet(images, QuantizedRun(layers))
            torch.testing.assert_close(supernet(images, architecture, bits), static, rtol=1e-4, atol=1e-5)


def test_the_supernet_equals_the_network_that_devices_and_files_get(space, images) -> None:
    """At 8 bits: biases are integers there, which with random weights tips many roundings at few bits."""
    supernet = telling(space)
    for architecture, bits in drawn_policies(space, 6, (8, FLOAT_BITS)):
        layers = own_layers(space, architecture, bits)
        run = QuantizedRun(layers, keep=True)
        with torch.inference_mode():
            supernet.extract(architecture)(images, run)
            ranges = run.averages()
            network = to_network(supernet.extract(architecture), layers, ranges)
            given = supernet(images, architecture, bits, ranges)
            assert relative_error(FoldedNetwork(network)(images), given) < 0.05


@pytest.mark.skipif(not demo_supernet_path().exists(), reason="the demo supernet is not in this checkout")
def test_a_trained_supernet_agrees_with_its_networks_at_few_bits() -> None:
    supernet = load_supernet(demo_supernet_path())
    few_digits = digits(sizes=SplitSizes(train=2, calibrate=2, validate=200, test=2))
    evaluator = Evaluator(supernet, few_digits, batch_size=200)
    for architecture, bits in drawn_policies(supernet.space, 2, (4, 8)):
        layers = own_layers(supernet.space, architecture, bits)
        ((x, _),) = evaluator.batches("validate", architecture["r"], 200)
        network = calibrated(supernet.extract(architecture, bits), layers, [x])
        with torch.inference_mode():
            found = FoldedNetwork(network)(x).argmax(1)
            elastic = supernet.train()(x, architecture, bits).argmax(1)
        # Biases are integers in the network, which tips some roundings at 4 bits, on unsure images.
        assert (found == elastic).float().mean() > 0.9
        supernet.eval()


def test_a_policy_of_floating_point_changes_nothing(space, images) -> None:
    supernet = telling(space)
    architecture = space.largest()
    own = sum(layer.quantizable for layer in space.layers(architecture))
    policy = BitwidthPolicy((FLOAT_BITS,) * own, (FLOAT_BITS,) * own)
    with torch.inference_mode():
        assert torch.equal(supernet(images, architecture, policy), supernet(images, architecture))


def test_fewer_bits_are_farther_from_floating_point(space, images) -> None:
    supernet, architecture = telling(space), space.largest()
    own = sum(layer.quantizable for layer in space.layers(architecture))
    with torch.inference_mode():
        exact = supernet(images, architecture)
        errors = [
            relative_error(supernet(images, architecture, BitwidthPolicy((w,) * own, (a,) * own)), exact)
            for w, a in ((8, 8), (8, 4), (4, 4), (2, 2))
        ]
    assert 0 < errors[0] < 0.05
    assert errors == sorted(errors)


def test_a_forward_pass_leaves_nothing_behind(space, images) -> None:
    supernet = telling(space)
    before = supernet.digest()
    first, second = drawn_policies(space, 2, (4, 8))
    with torch.inference_mode():
        expected = supernet(images, *first)
        supernet(images, *second)
        assert torch.equal(supernet(images, *first), expected)
    assert supernet.digest() == before


def test_every_weight_in_use_learns_under_any_policy(space, images) -> None:
    supernet = telling(space).train()
    architecture, bits = next(drawn_policies(space, 1, (2, 4)))
    supernet(images, architecture, bits).square().sum().backward()
    for layer in space.layers(architecture):
        for op in layer.ops:
            if op.weights:
                gradient = supernet.get_submodule(f"{layer.name}.{op.name}").weight.grad
                assert gradient is not None
                assert torch.isfinite(gradient).all()
                assert gradient.abs().sum() > 0


def test_a_policy_of_another_length_is_refused(space, images) -> None:
    with pytest.raises(InputError, match="layers with weights, but got 2"):
        telling(space)(images, space.largest(), BitwidthPolicy((8, 8), (8, 8)))


def test_calibration_gives_the_statistics_of_the_quantized_network(space, images) -> None:
    """Of one batch: the network then answers as it did when its statistics were those of the batch."""
    supernet = telling(space)
    for architecture, bits in drawn_policies(space, 6, (8, FLOAT_BITS), seed=1):
        layers = own_layers(space, architecture, bits)
        network = calibrated(supernet.extract(architecture), layers, [images])
        assert set(network.ranges) == set(activation_bits(layers))
        with torch.inference_mode():
            expected = supernet.train()(images, architecture, bits)
            assert relative_error(FoldedNetwork(network)(images), expected) < 0.05
        supernet.eval()


def test_calibration_undoes_what_rounding_does_to_the_statistics(space, images) -> None:
    """At 3 bits: outputs are nearer to floating point than with the statistics of floating point."""
    supernet, architecture = telling(space), space.largest()
    own = sum(layer.quantizable for layer in space.layers(architecture))
    layers = own_layers(space, architecture, BitwidthPolicy((3,) * own, (8,) * own))
    exact = recalibrate(supernet.extract(architecture), [images])
    under_bits = calibrated(supernet.extract(architecture), layers, [images])
    before = to_network(exact, layers, under_bits.ranges)
    with torch.inference_mode():
        expected = exact(images)
        found, naive = FoldedNetwork(under_bits)(images), FoldedNetwork(before)(images)
    assert relative_error(found, expected) < relative_error(naive, expected)


def test_calibration_leaves_the_weights_as_they_are(space, images) -> None:
    supernet, architecture = telling(space), space.largest()
    own = sum(layer.quantizable for layer in space.layers(architecture))
    policy = BitwidthPolicy((4,) * own, (8,) * own)
    subnet = supernet.extract(architecture)
    before = {name: value.clone() for name, value in subnet.named_parameters()}
    calibrated(subnet, own_layers(space, architecture, policy), [images])
    assert all(torch.equal(value, before[name]) for name, value in subnet.named_parameters())


def test_ranges_are_averages_over_the_batches(space, images) -> None:
    supernet, architecture = telling(space), space.smallest()
    own = sum(layer.quantizable for layer in space.layers(architecture))
    layers = own_layers(space, architecture, BitwidthPolicy((8,) * own, (8,) * own))
    parts = [calibrated(supernet.extract(architecture), layers, [some]) for some in images.split(16)]
    both = calibrated(supernet.extract(architecture), layers, images.split(16))
    for end in (0, 1):
        expected = np.mean([part.ranges["input"][end] for part in parts])
        assert both.ranges["input"][end] == pytest.approx(expected)


def test_calibration_without_images_or_with_infinite_ones_is_refused(space, images) -> None:
    supernet, architecture = telling(space), space.smallest()
    own = sum(layer.quantizable for layer in space.layers(architecture))
    layers = own_layers(space, architecture, BitwidthPolicy((8,) * own, (8,) * own))
    with pytest.raises(InputError, match="needs images, but got none"):
        calibrated(supernet.extract(architecture), layers, [])
    with pytest.raises(InputError, match="is not finite"):
        calibrated(supernet.extract(architecture), layers, [images * float("inf")])


def test_a_supernet_of_random_weights_runs_on_any_policy_of_any_space() -> None:
    from hwnas.spaces import get_space

    numbers = count()
    for name in ("demo", "ofa-resnet50"):
        space = get_space(name, 10)
        supernet = Supernet(space).train()
        x = torch.randn(4, 3, 64, 64)
        architecture, bits = next(drawn_policies(space, 1, seed=next(numbers)))
        assert torch.isfinite(supernet(x, architecture, bits)).all()
