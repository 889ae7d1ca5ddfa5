"""The spaces that come with hwnas."""

from hwnas.spaces.mobilenet import MobileNetRecipe, Stage

# Small enough to train, tune and search on two CPU cores; 1.2 million architectures.
DEMO = MobileNetRecipe(
    name="demo",
    stem_channels=16,
    stem_activation="relu",
    first_block_width=0,
    stages=(Stage(24, 2), Stage(40, 2, se=True), Stage(80, 2)),
    kernels=(3, 5),
    expands=(3, 6),
    depths=(1, 2, 3),
    image_sizes=(32, 48),
    head_channels=160,
    feature_channels=0,
    head_activation="relu",
)

# Once-for-All (Cai et al., 2020), `ofa_mbv3_d234_e346_k357_w1.0`.
OFA_MOBILENETV3_W10 = MobileNetRecipe(
    name="ofa-mobilenetv3-w1.0",
    stem_channels=16,
    stem_activation="h_swish",
    first_block_width=16,
    stages=(
        Stage(24, 2, "relu"),
        Stage(40, 2, "relu", se=True),
        Stage(80, 2, "h_swish"),
        Stage(112, 1, "h_swish", se=True),
        Stage(160, 2, "h_swish", se=True),
    ),
    kernels=(3, 5, 7),
    expands=(3, 4, 6),
    depths=(2, 3, 4),
    image_sizes=tuple(range(128, 225, 4)),
    head_channels=960,
    feature_channels=1280,
    head_activation="h_swish",
)
