import pytest
import torch

from hwnas.spaces import FLOAT_BITS, BitwidthPolicy
from hwnas.supernet import FoldedNetwork, Supernet, SupernetInfo, calibrated, load_supernet, save_supernet
from hwnas.supernet.chain import own_layers
from hwnas.supernet.fake_quantize import fake_quantized_weight
from hwnas.supernet.learned_steps import LearnedSteps, learned_quantized
from tests.supernet.conftest import telling


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(32, 3, 24, 24, generator=torch.Generator().manual_seed(3))


def learned(space) -> Supernet:
    """Returns a supernet whose factors are all random, from 0.7 to 1.4."""
    supernet = telling(space)
    supernet.learn_steps((4, 8))
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for part in supernet.modules():
            if isinstance(part, LearnedSteps):
                part.log2.uniform_(-0.5, 0.5, generator=generator)
    return supernet


def uniform(space, architecture, bits: int) -> BitwidthPolicy:
    own = sum(layer.quantizable for layer in space.layers(architecture))
    return BitwidthPolicy((bits,) * own, (bits,) * own)


def test_the_gradient_of_a_step_is_as_published() -> None:
    """Hand-computed: x / s = 0.3, 1.6, 9 at integers up to 7."""
    x = torch.tensor([[0.6, 3.2, 18.0]], requires_grad=True)
    scale = torch.tensor([[2.0]], requires_grad=True)
    made = learned_quantized(x, scale, torch.tensor(-7.0), torch.tensor(7.0))
    assert made.tolist() == [[0, 4, 14]]
    made.sum().backward()
    assert x.grad is not None
    assert scale.grad is not None
    assert x.grad.tolist() == [[1, 1, 0]]
    expected = ((0 - 0.3) + (2 - 1.6) + 7) / (3 * 7) ** 0.5
    assert scale.grad.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_factors_of_one_change_nothing_at_first(space, images, bits: int) -> None:
    plain, supernet = telling(space), telling(space)
    supernet.learn_steps((2, 4, 8))
    architecture = space.largest()
    policy = uniform(space, architecture, bits)
    with torch.inference_mode():
        torch.testing.assert_close(
            supernet(images, architecture, policy), plain(images, architecture, policy)
        )


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_quantized_weights_are_left_alone_when_they_are_quantized_again(bits: int) -> None:
    """So the steps need not be written anywhere: files and devices find them in the weights."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(16, 40, generator=generator)
    factor = torch.exp2(torch.empty(16).uniform_(-1.5, 1.5, generator=generator))
    made = fake_quantized_weight(weight, bits, factor)
    torch.testing.assert_close(fake_quantized_weight(made, bits), made, rtol=1e-5, atol=1e-7)
    assert not torch.allclose(made, fake_quantized_weight(weight, bits))


def test_every_factor_in_use_learns(space, images) -> None:
    supernet = learned(space).train()
    architecture = space.largest()
    supernet(images, architecture, uniform(space, architecture, 4)).square().sum().backward()
    assert supernet.activation_steps is not None
    row = supernet.activation_steps["input"].log2.grad
    assert row is not None
    assert row[0].abs().sum() > 0
    assert row[1].abs().sum() == 0  # those of 8 bits were not in use
    gradient = supernet.get_submodule("stages.0.0.project.steps").log2.grad
    assert gradient is not None
    assert gradient[0].abs().sum() > 0


@pytest.mark.parametrize(("weights", "activations", "limit"), [(4, FLOAT_BITS, 1e-3), (8, 8, 0.08)])
def test_the_calibrated_network_has_the_learned_steps(
    space, images, weights: int, activations: int, limit: float
) -> None:
    supernet, architecture = learned(space), space.largest()
    own = sum(layer.quantizable for layer in space.layers(architecture))
    policy = BitwidthPolicy((weights,) * own, (activations,) * own)
    layers = own_layers(space, architecture, policy)
    network = calibrated(supernet.extract(architecture, policy), layers, [images])
    without = calibrated(telling(space).extract(architecture, policy), layers, [images])
    with torch.inference_mode():
        expected = supernet.train()(images, architecture, policy)
        found, other = FoldedNetwork(network)(images), FoldedNetwork(without)(images)
    assert relative_error(found, expected) < limit
    assert relative_error(other, expected) > 2 * limit


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def test_steps_are_kept_in_the_file(space, images, tmp_path) -> None:
    supernet = learned(space)
    supernet.info = SupernetInfo(
        space=space.name,
        num_classes=3,
        image_sizes=(16, 24),
        recipe={},
        data="colours",
        data_fingerprint="",
        bits=(4, 8),
        learned_steps=True,
    )
    save_supernet(supernet, tmp_path / "net.safetensors")
    loaded = load_supernet(tmp_path / "net.safetensors", space)
    assert loaded.info == supernet.info
    assert loaded.digest() == supernet.digest()
    architecture = space.smallest()
    policy = uniform(space, architecture, 4)
    with torch.inference_mode():
        assert torch.equal(
            loaded(images, architecture, policy), supernet.eval()(images, architecture, policy)
        )
