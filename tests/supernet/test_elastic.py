import numpy as np
import torch

from hwnas.spaces import Op
from hwnas.supernet.elastic import ElasticConv2d, ElasticDepthwise, ElasticLinear, ElasticNorm, initialise


def test_smaller_kernels_come_from_the_transformed_larger_one():
    generator = torch.Generator().manual_seed(0)
    depthwise = ElasticDepthwise(4, (3, 5, 7))
    with torch.no_grad():
        for parameter in depthwise.parameters():
            parameter.normal_(generator=generator)
    w7 = depthwise.weight.detach().numpy()
    m75 = depthwise.transforms["7to5"].detach().numpy()
    m53 = depthwise.transforms["5to3"].detach().numpy()
    for channel in range(3):
        w5 = np.zeros((5, 5))
        for out in range(25):
            w5[out // 5, out % 5] = sum(
                w7[channel, 0, 1 + i, 1 + j] * m75[out, 5 * i + j] for i in range(5) for j in range(5)
            )
        w3 = np.zeros((3, 3))
        for out in range(9):
            w3[out // 3, out % 3] = sum(
                w5[1 + i, 1 + j] * m53[out, 3 * i + j] for i in range(3) for j in range(3)
            )
        np.testing.assert_allclose(depthwise.filters(3, 5)[channel, 0].detach(), w5, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(depthwise.filters(3, 3)[channel, 0].detach(), w3, rtol=1e-4, atol=1e-5)


def test_the_demo_kernels_need_one_matrix():
    assert list(ElasticDepthwise(2, (3, 5)).transforms) == ["5to3"]


def test_a_fresh_transform_is_the_centre_of_the_kernel():
    depthwise = ElasticDepthwise(2, (3, 5, 7))
    initialise(depthwise, torch.Generator().manual_seed(0))
    assert torch.equal(depthwise.filters(2, 3), depthwise.weight[:, :, 2:5, 2:5])


def test_the_largest_kernel_is_used_without_a_copy():
    depthwise = ElasticDepthwise(6, (3, 5))
    assert depthwise.filters(4, 5).data_ptr() == depthwise.weight.data_ptr()


def test_convolutions_use_their_first_channels():
    conv = ElasticConv2d(4, 6, 1, bias=True)
    torch.nn.init.normal_(conv.weight)
    torch.nn.init.normal_(conv.bias)
    x = torch.randn(2, 3, 5, 5)
    expected = torch.einsum("nchw,oc->nohw", x, conv.weight[:2, :3, 0, 0]) + conv.bias[:2, None, None]
    torch.testing.assert_close(conv(x, Op("expand", "conv", 3, 2, 5)), expected)


def test_linear_uses_its_first_inputs():
    linear = ElasticLinear(5, 3)
    torch.nn.init.normal_(linear.weight)
    torch.nn.init.normal_(linear.bias)
    x = torch.randn(2, 4)
    torch.testing.assert_close(
        linear(x, Op("linear", "linear", 4, 3, 1)), x @ linear.weight[:, :4].T + linear.bias
    )


def test_training_updates_the_statistics_of_the_channels_in_use_alone():
    norm = ElasticNorm(5, eps=1e-5)
    initialise(norm, torch.Generator())
    norm.train()
    x = torch.randn(8, 3, 4, 4) * 2 + 1
    norm(x, Op("project", "conv", 8, 3, 4))
    torch.testing.assert_close(norm.running_mean[:3], 0.1 * x.mean((0, 2, 3)))
    torch.testing.assert_close(norm.running_var[:3], 0.9 + 0.1 * x.var((0, 2, 3)))
    assert norm.running_mean[3:].tolist() == [0, 0]
    assert norm.running_var[3:].tolist() == [1, 1]
