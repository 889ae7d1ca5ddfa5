"""The MobileNet-style spaces that come with hwnas."""

from collections.abc import Callable, Mapping

from hwnas.spaces.mobilenet_recipe import ActivationName, MobileNetRecipe, Part, Stage

_OFA_SIZES = tuple(range(128, 225, 4))


def demo() -> MobileNetRecipe:
    """Returns a space small enough to train, tune and search on two CPU cores: 1.2 million architectures."""
    return MobileNetRecipe(
        name="demo",
        image_sizes=(32, 48),
        stem=Part(width=(16,)),
        stages=tuple(
            Stage(width=(width,), depth=(1, 2, 3), kernel=(3, 5), expand=(3, 6), stride=2, se=width == 40)
            for width in (24, 40, 80)
        ),
        head=Part(width=(160,)),
        num_classes=10,
    )


def ofa_mobilenetv3_w10() -> MobileNetRecipe:
    """Returns Once-for-All's `ofa_mbv3_d234_e346_k357_w1.0` (Cai et al., 2020)."""
    return _ofa_mobilenetv3("ofa-mobilenetv3-w1.0", 16, (24, 40, 80, 112, 160), 960, 1280)


def ofa_mobilenetv3_w12() -> MobileNetRecipe:
    """Returns Once-for-All's `ofa_mbv3_d234_e346_k357_w1.2` (Cai et al., 2020)."""
    return _ofa_mobilenetv3("ofa-mobilenetv3-w1.2", 24, (32, 48, 96, 136, 192), 1152, 1536)


def ofa_proxyless_w13() -> MobileNetRecipe:
    """Returns Once-for-All's `ofa_proxyless_d234_e346_k357_w1.3` (Cai et al., 2020)."""
    widths, strides = (32, 56, 104, 128, 248, 416), (2, 2, 2, 1, 2, 1)
    return MobileNetRecipe(
        name="ofa-proxyless-w1.3",
        image_sizes=_OFA_SIZES,
        stem=Part(width=(40,), activation="relu6"),
        first=Part(width=(24,), activation="relu6"),
        stages=tuple(
            _ofa_stage(width, stride, "relu6", depth=(1,) if width == 416 else (2, 3, 4))
            for width, stride in zip(widths, strides, strict=True)
        ),
        head=Part(width=(1664,), activation="relu6"),
        norm_eps=1e-3,
    )


def bignas_mobilenetv3() -> MobileNetRecipe:
    """Returns the space of AttentiveNAS, with h-swish for swish.

    Source: AttentiveNAS (Wang et al., 2021), table 1; the manner is BigNAS's (Yu et al., 2020).
    """

    def stage(width: tuple[int, ...], depth: range, expand: tuple[int, ...], stride: int, se: bool) -> Stage:
        return Stage(
            width=width,
            depth=tuple(depth),
            kernel=(3, 5),
            expand=expand,
            stride=stride,
            activation="h_swish",
            se=se,
        )

    return MobileNetRecipe(
        name="bignas-mobilenetv3",
        image_sizes=(192, 224, 256, 288),
        stem=Part(width=(16, 24), activation="h_swish"),
        stages=(
            stage((16, 24), range(1, 3), (1,), 1, se=False),
            stage((24, 32), range(3, 6), (4, 5, 6), 2, se=False),
            stage((32, 40), range(3, 7), (4, 5, 6), 2, se=True),
            stage((64, 72), range(3, 7), (4, 5, 6), 2, se=False),
            stage((112, 120, 128), range(3, 9), (4, 5, 6), 1, se=True),
            stage((192, 200, 208, 216), range(3, 9), (6,), 2, se=True),
            stage((216, 224), range(1, 3), (6,), 1, se=True),
        ),
        head=Part(width=(1344,), activation="h_swish"),
        feature=Part(width=(1792, 1984), activation="h_swish"),
        tied=True,
    )


def _ofa_mobilenetv3(
    name: str, stem: int, widths: tuple[int, ...], head: int, feature: int
) -> MobileNetRecipe:
    return MobileNetRecipe(
        name=name,
        image_sizes=_OFA_SIZES,
        stem=Part(width=(stem,), activation="h_swish"),
        first=Part(width=(stem,), activation="relu"),
        stages=tuple(
            _ofa_stage(width, stride, "relu" if index < 2 else "h_swish", se=index in (1, 3, 4))
            for index, (width, stride) in enumerate(zip(widths, (2, 2, 2, 1, 2), strict=True))
        ),
        head=Part(width=(head,), activation="h_swish"),
        feature=Part(width=(feature,), activation="h_swish"),
    )


def _ofa_stage(
    width: int,
    stride: int,
    activation: ActivationName,
    depth: tuple[int, ...] = (2, 3, 4),
    se: bool = False,
) -> Stage:
    return Stage(
        width=(width,),
        depth=depth,
        kernel=(3, 5, 7),
        expand=(3, 4, 6),
        stride=stride,
        activation=activation,
        se=se,
    )


RECIPES: Mapping[str, Callable[[], MobileNetRecipe]] = {
    "demo": demo,
    "ofa-mobilenetv3-w1.0": ofa_mobilenetv3_w10,
    "ofa-mobilenetv3-w1.2": ofa_mobilenetv3_w12,
    "ofa-proxyless-w1.3": ofa_proxyless_w13,
    "bignas-mobilenetv3": bignas_mobilenetv3,
}
