"""The networks of published board figures, as operations; MACs agree with what their sources state."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from hwnas.spaces import Layer, Op, make_divisible
from hwnas.spaces.layer import Activation

# Expansion, kernel, output channels, repeats, stride of the first.
_V2 = [(1, 3, 16, 1, 1), (6, 3, 24, 2, 2), (6, 3, 32, 3, 2), (6, 3, 64, 4, 2), (6, 3, 96, 3, 1)]
_V2 += [(6, 3, 160, 3, 2), (6, 3, 320, 1, 1)]
_EFFICIENT = [(1, 3, 16, 1, 1), (6, 3, 24, 2, 2), (6, 5, 40, 2, 2), (6, 3, 80, 3, 2), (6, 5, 112, 3, 1)]
_EFFICIENT += [(6, 5, 192, 4, 2), (6, 3, 320, 1, 1)]
# Kernel, inner and output channels, squeeze-and-excitation, h_swish, stride.
_V3_SMALL = [(3, 16, 16, True, False, 2), (3, 72, 24, False, False, 2), (3, 88, 24, False, False, 1)]
_V3_SMALL += [(5, 96, 40, True, True, 2), (5, 240, 40, True, True, 1), (5, 240, 40, True, True, 1)]
_V3_SMALL += [(5, 120, 48, True, True, 1), (5, 144, 48, True, True, 1), (5, 288, 96, True, True, 2)]
_V3_SMALL += [(5, 576, 96, True, True, 1), (5, 576, 96, True, True, 1)]


def mobilenet_v1(width: float, size_px: int) -> list[Op]:
    """Returns MobileNetV1 of a width factor (Howard et al., 2017)."""
    channels, size = int(32 * width), (size_px - 1) // 2 + 1
    ops = list(Layer("conv", 3, channels, size_px, 3, 2, activation="relu6").ops)
    widths = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2)]
    for out, stride in [*widths, (1024, 1)]:
        # Depthwise and pointwise: a block that neither expands nor adds.
        made = int(out * width)
        block = Layer("mbconv", channels, made, size, 3, stride, channels, activation="relu6")
        ops += [op for op in block.ops if op.kind != "add"]
        channels, size = made, block.out_size_px
    return [*ops, *_classifier(channels, size)]


def mobilenet_v2(width: float) -> list[Op]:
    """Returns MobileNetV2 of a width factor at 224 px (Sandler et al., 2018)."""
    stages = [(e, k, make_divisible(out * width), n, stride) for e, k, out, n, stride in _V2]
    head = make_divisible(1280 * width) if width > 1 else 1280
    return _chain(make_divisible(32 * width), stages, head, "relu6", se=False)


def efficientnet(se: bool) -> list[Op]:
    """Returns EfficientNet-B0 (Tan & Le, 2019), or lite0: without squeeze-and-excitation and swish."""
    return _chain(32, _EFFICIENT, 1280, "h_swish" if se else "relu6", se)


def mobilenet_v3_small() -> list[Op]:
    """Returns MobileNetV3-small at 224 px (Howard et al., 2019)."""
    layers, channels, size = [Layer("conv", 3, 16, 224, 3, 2, activation="h_swish")], 16, 112
    for kernel, mid, out, se, swish, stride in _V3_SMALL:
        act: Activation = "h_swish" if swish else "relu"
        layers.append(Layer("mbconv", channels, out, size, kernel, stride, mid, se, act))
        channels, size = out, layers[-1].out_size_px
    layers.append(Layer("conv", channels, 576, size, activation="h_swish"))
    feature = Layer("conv", 576, 1024, 1, activation="h_swish", norm=False)
    pool, linear = _classifier(576, size)[0], _classifier(1024, 1)[1]
    return [*(op for layer in layers for op in layer.ops), pool, *feature.ops, linear]


def resnet(blocks: Sequence[int], style: str) -> list[Op]:
    """Returns a ResNet at 224 px (He et al., 2016).

    Args:
        blocks: of each stage.
        style: `basic` for blocks of two 3x3 convolutions; `v1` with the stride in the first 1x1 of a
            stage; `v1.5` in its 3x3; `slim` in the last 3x3 of a stage, as TF-Slim has it.
    """
    ops = [Op("stem", "conv", 3, 64, 224, 7, 2), Op("pool", "max_pool", 64, 64, 112, 3, 2)]
    channels, size = 64, 56
    for stage, (width, repeats) in enumerate(zip((64, 128, 256, 512), blocks, strict=True)):
        for index in range(repeats):
            first = index == 0
            strided = index == repeats - 1 and stage < 3 if style == "slim" else first and stage > 0
            stride = 2 if strided else 1
            block, size_out, out = _residual_block(channels, width, size, stride, style, first)
            ops += [*block, Op("add", "add", out, out, size_out)]
            channels, size = out, size_out
    return [*ops, *_classifier(channels, size)]


def vgg(repeats: Sequence[int]) -> list[Op]:
    """Returns a VGG network at 224 px (Simonyan & Zisserman, 2015)."""
    ops: list[Op] = []
    channels, size = 3, 224
    for width, count in zip((64, 128, 256, 512, 512), repeats, strict=True):
        for _ in range(count):
            ops.append(Op("conv", "conv", channels, width, size, 3))
            channels = width
        ops.append(Op("pool", "max_pool", channels, channels, size, 2, 2))
        size //= 2
    sizes = [channels * size**2, 4096, 4096, 1000]
    return [*ops, *(Op("fc", "linear", a, b, 1) for a, b in pairwise(sizes))]


NETWORKS: Mapping[str, Callable[[], list[Op]]] = {
    "mobilenet_v1_0.25_128": lambda: mobilenet_v1(0.25, 128),
    "mobilenet_v1_0.5_160": lambda: mobilenet_v1(0.5, 160),
    "mobilenet_v1_1.0_224": lambda: mobilenet_v1(1.0, 224),
    "mobilenet_v2_1.0_224": lambda: mobilenet_v2(1.0),
    "mobilenet_v2_1.4_224": lambda: mobilenet_v2(1.4),
    "mobilenet_v3_small": mobilenet_v3_small,
    "efficientnet_lite0": lambda: efficientnet(se=False),
    "efficientnet_b0": lambda: efficientnet(se=True),
    "resnet18": lambda: resnet((2, 2, 2, 2), "basic"),
    "resnet50_slim": lambda: resnet((3, 4, 6, 3), "slim"),
    "resnet50_v1": lambda: resnet((3, 4, 6, 3), "v1"),
    "resnet50_v1.5": lambda: resnet((3, 4, 6, 3), "v1.5"),
    "resnet101_slim": lambda: resnet((3, 4, 23, 3), "slim"),
    "resnet152_slim": lambda: resnet((3, 8, 36, 3), "slim"),
    "vgg16": lambda: vgg((2, 2, 3, 3, 3)),
    "vgg19": lambda: vgg((2, 2, 4, 4, 4)),
}


def _chain(
    stem: int, stages: list[tuple[int, int, int, int, int]], head: int, act: Activation, se: bool
) -> list[Op]:
    layers = [Layer("conv", 3, stem, 224, 3, 2, activation=act)]
    channels, size = stem, 112
    for expand, kernel, out, repeats, first_stride in stages:
        for stride in [first_stride, *[1] * (repeats - 1)]:
            layers.append(
                Layer("mbconv", channels, out, size, kernel, stride, channels * expand, se, activation=act)
            )
            channels, size = out, layers[-1].out_size_px
    layers.append(Layer("conv", channels, head, size, activation=act))
    return [*(op for layer in layers for op in layer.ops), *_classifier(head, size)]


def _residual_block(
    channels: int, width: int, size: int, stride: int, style: str, first: bool
) -> tuple[list[Op], int, int]:
    """The operations of a block before the sum, its output's side and channels."""
    if style == "basic":
        one = Op("conv1", "conv", channels, width, size, 3, stride)
        ops, out = [one, Op("conv2", "conv", width, width, one.out_size_px, 3)], width
    else:
        early = stride if style == "v1" else 1
        one = Op("reduce", "conv", channels, width, size, 1, early)
        two = Op("middle", "conv", width, width, one.out_size_px, 3, stride if early == 1 else 1)
        out = 4 * width
        ops = [one, two, Op("expand", "conv", width, out, two.out_size_px)]
    if channels != out:
        ops.append(Op("skip", "conv", channels, out, size, stride=stride))
    elif stride == 2 and not first:
        ops.append(Op("skip", "max_pool", channels, channels, size, 1, 2))
    return ops, (size - 1) // stride + 1, out


def _classifier(channels: int, size: int) -> list[Op]:
    pool = Layer("pool", channels, channels, size, kernel=size, norm=False)
    return [*pool.ops, *Layer("linear", channels, 1000, 1, norm=False).ops]
