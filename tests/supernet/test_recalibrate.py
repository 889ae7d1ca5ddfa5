import pytest
import torch
from torch import nn
from torch.nn import functional

from hwnas.errors import InputError
from hwnas.supernet import recalibrate
from tests.supernet.conftest import telling


@pytest.fixture
def module() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 1), nn.BatchNorm2d(5)
    ).eval()


@pytest.fixture
def batches() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(n, 3, 6, 6, generator=generator) * n + 1 for n in (5, 2)]


def plain_statistics(module: nn.Sequential, batches: list[torch.Tensor]) -> list[torch.Tensor]:
    """Batch after batch: the map before each normalisation, its mean and biased variance, then on."""
    conv1, norm1, relu, conv2, _ = module
    sums = [0.0, 0.0, 0.0, 0.0]
    for x in batches:
        before = conv1(x)
        mean1, var1 = before.mean((0, 2, 3)), before.var((0, 2, 3), correction=0)
        y = relu(functional.batch_norm(before, mean1, var1, norm1.weight, norm1.bias, False, 0, norm1.eps))
        after = conv2(y)
        found = (mean1, var1, after.mean((0, 2, 3)), after.var((0, 2, 3), correction=0))
        sums = [total + len(x) * value for total, value in zip(sums, found, strict=True)]
    return [total / sum(len(x) for x in batches) for total in sums]


def test_statistics_are_averages_over_batches_weighted_by_their_sizes(module, batches) -> None:
    recalibrated = recalibrate(module, batches)
    with torch.no_grad():
        mean1, var1, mean2, var2 = plain_statistics(module, batches)
    torch.testing.assert_close(recalibrated[1].running_mean, mean1)
    torch.testing.assert_close(recalibrated[1].running_var, var1)
    torch.testing.assert_close(recalibrated[4].running_mean, mean2)
    torch.testing.assert_close(recalibrated[4].running_var, var2)


def test_the_original_is_left_untouched(module, batches) -> None:
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    module.train()
    recalibrated = recalibrate(module, batches)
    assert module.training
    assert all(part.training for part in module)
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert not any(part.training for part in recalibrated.modules())
    assert [norm.momentum for norm in recalibrated if isinstance(norm, nn.BatchNorm2d)] == [0.1, 0.1]
    assert not any(norm._forward_hooks for norm in recalibrated)


def test_recalibrating_again_changes_nothing(module, batches) -> None:
    once = recalibrate(module, batches)
    twice = recalibrate(once, batches)
    for part in (1, 4):
        assert torch.equal(once[part].running_mean, twice[part].running_mean)
        assert torch.equal(once[part].running_var, twice[part].running_var)


def test_a_recalibrated_subnet_gives_what_it_gives_on_the_batch_itself(space) -> None:
    subnet = telling(space).extract(space.largest())
    x = torch.randn(16, 3, 24, 24)
    recalibrated = recalibrate(subnet, [x])
    with torch.no_grad():
        torch.testing.assert_close(recalibrated(x), subnet.train()(x), rtol=1e-4, atol=1e-5)


def test_no_images_are_refused(module) -> None:
    with pytest.raises(InputError, match="needs images, but got none"):
        recalibrate(module, [])


def test_a_batch_with_one_value_a_channel_is_refused(module) -> None:
    with pytest.raises(InputError, match="more than one value a channel"):
        recalibrate(module, [torch.randn(1, 3, 3, 3)])
