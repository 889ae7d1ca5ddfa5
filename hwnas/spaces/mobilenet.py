"""MobileNet-style elastic spaces: stages of inverted bottlenecks with a choice in every block."""

from dataclasses import dataclass
from itertools import product

import numpy as np

from hwnas.spaces.architecture import Architecture
from hwnas.spaces.layer import Activation, Layer, make_divisible
from hwnas.spaces.space import Gene, Ints, Space


@dataclass(frozen=True)
class Stage:
    """A run of inverted bottlenecks of one width; the first carries the stride."""

    width: int
    stride: int
    activation: Activation = "relu"
    se: bool = False


@dataclass(frozen=True, kw_only=True)
class MobileNetRecipe:
    """Everything that defines a MobileNet-style space.

    Attributes:
        stem_channels: outputs of the 3x3 stride-2 stem.
        first_block_width: width of a fixed 3x3 block without expansion after the stem; 0 for none.
        kernels, expands, depths: the choices of every block (kernel, expand ratio) and stage (how
            many of its blocks run).
        image_sizes: choices of the input side in px.
        head_channels: outputs of the 1x1 convolution before the pool.
        feature_channels: outputs of the 1x1 convolution after the pool (no normalisation, no
            bias); 0 for none.
    """

    name: str
    stem_channels: int
    stem_activation: Activation
    first_block_width: int
    stages: tuple[Stage, ...]
    kernels: tuple[int, ...]
    expands: tuple[int, ...]
    depths: tuple[int, ...]
    image_sizes: tuple[int, ...]
    head_channels: int
    feature_channels: int
    head_activation: Activation
    norm_eps: float = 1e-5


class MobileNetSpace(Space):
    """The space of a recipe; genes `ks` and `e` a block, `d` a stage, and the image size `r`.

    Source: Once-for-All (Cai et al., 2020), section 3.2; the first d blocks of a stage run.
    """

    def __init__(self, recipe: MobileNetRecipe, num_classes: int) -> None:
        """Builds the vocabulary: every layer that any architecture can hold."""
        self.recipe = recipe
        self.name = recipe.name
        self.num_classes = num_classes
        self.norm_eps = recipe.norm_eps
        self._blocks = max(recipe.depths)
        positions = len(recipe.stages) * self._blocks
        self.genes = (
            *(Gene("ks", i, recipe.kernels) for i in range(positions)),
            *(Gene("e", i, recipe.expands) for i in range(positions)),
            *(Gene("d", i, recipe.depths) for i in range(len(recipe.stages))),
            Gene("r", None, recipe.image_sizes),
        )
        self._positions = positions
        self._ids: dict[Layer, int] = {}
        # For each slot the layer id by [image size, kernel, expand].
        self._tables: dict[str, Ints] = {}
        for index, size_px in enumerate(recipe.image_sizes):
            self._enter_chain(index, size_px)
        self.slots = tuple(self._tables)
        self.vocabulary = tuple(self._ids)

    @property
    def num_architectures(self) -> int:
        """The number of distinct architectures, counted exactly."""
        a_block = len(self.recipe.kernels) * len(self.recipe.expands)
        a_stage = sum(a_block**depth for depth in self.recipe.depths)
        return int(a_stage ** len(self.recipe.stages) * len(self.recipe.image_sizes))

    def canonical(self, genomes: Ints) -> Ints:
        """Returns genomes [n, genes] with index 0 for kernel and expand of blocks that do not run."""
        active = self._active_blocks(genomes)
        fixed = np.ones((len(genomes), len(self.recipe.stages) + 1), dtype=bool)
        return np.where(np.concatenate([active, active, fixed], axis=1), genomes, 0)

    def layer_ids(self, genomes: Ints) -> Ints:
        """Returns vocabulary ids [n, slots]; -1 where the slot is empty."""
        n = self._positions
        active, size = self._active_blocks(genomes), genomes[:, -1]
        ids = np.empty((len(genomes), len(self.slots)), dtype=np.int64)
        for column, (slot, table) in enumerate(self._tables.items()):
            position = self._position(slot)
            if position is None:
                ids[:, column] = table[size, 0, 0]
            else:
                kernel, expand = genomes[:, position], genomes[:, n + position]
                ids[:, column] = np.where(active[:, position], table[size, kernel, expand], -1)
        return ids

    def covering(self) -> list[Architecture]:
        """Returns the deepest architectures with one kernel, expand ratio and size throughout."""
        counts = self.choice_counts
        rows = []
        for size, kernel, expand in product(
            range(len(self.recipe.image_sizes)),
            range(len(self.recipe.kernels)),
            range(len(self.recipe.expands)),
        ):
            row = counts - 1
            row[: self._positions] = kernel
            row[self._positions : 2 * self._positions] = expand
            row[-1] = size
            rows.append(row)
        return self.architectures(np.array(rows))

    def _active_blocks(self, genomes: Ints) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        n = self._positions
        depths = np.array(self.recipe.depths)[genomes[:, 2 * n : -1]]
        running = np.arange(self._blocks) < depths[:, :, None]
        return running.reshape(len(genomes), n)

    def _position(self, slot: str) -> int | None:
        if not slot.startswith("stages."):
            return None
        _, stage, block = slot.split(".")
        return int(stage) * self._blocks + int(block)

    def _enter_chain(self, size_index: int, size_px: int) -> None:
        recipe = self.recipe
        stem = Layer(
            "conv", 3, recipe.stem_channels, size_px, kernel=3, stride=2, activation=recipe.stem_activation
        )
        self._enter("stem", size_index, stem)
        channels, size = stem.out_channels, stem.out_size_px
        if recipe.first_block_width:
            first = Layer(
                "mbconv",
                channels,
                recipe.first_block_width,
                size,
                kernel=3,
                mid_channels=channels,
                activation=recipe.stages[0].activation,
            )
            self._enter("first", size_index, first)
            channels = first.out_channels
        for index, stage in enumerate(recipe.stages):
            for block in range(self._blocks):
                stride = stage.stride if block == 0 else 1
                self._enter_block(f"stages.{index}.{block}", size_index, stage, channels, size, stride)
                channels, size = stage.width, (size - 1) // stride + 1
        self._enter_head(size_index, channels, size)

    def _enter_block(
        self, slot: str, size_index: int, stage: Stage, channels: int, size_px: int, stride: int
    ) -> None:
        for (k, kernel), (e, expand) in product(
            enumerate(self.recipe.kernels), enumerate(self.recipe.expands)
        ):
            layer = Layer(
                "mbconv",
                channels,
                stage.width,
                size_px,
                kernel=kernel,
                stride=stride,
                mid_channels=make_divisible(round(channels * expand)),
                se=stage.se,
                activation=stage.activation,
            )
            self._enter(slot, size_index, layer, k, e)

    def _enter_head(self, size_index: int, channels: int, size_px: int) -> None:
        recipe = self.recipe
        act = recipe.head_activation
        self._enter(
            "head", size_index, Layer("conv", channels, recipe.head_channels, size_px, activation=act)
        )
        channels = recipe.head_channels
        self._enter(
            "pool", size_index, Layer("pool", channels, channels, size_px, kernel=size_px, norm=False)
        )
        if recipe.feature_channels:
            feature = Layer("conv", channels, recipe.feature_channels, 1, activation=act, norm=False)
            self._enter("feature", size_index, feature)
            channels = recipe.feature_channels
        self._enter("classifier", size_index, Layer("linear", channels, self.num_classes, 1, norm=False))

    def _enter(self, slot: str, size_index: int, layer: Layer, kernel: int = 0, expand: int = 0) -> None:
        recipe = self.recipe
        shape = (len(recipe.image_sizes), len(recipe.kernels), len(recipe.expands))
        table = self._tables.setdefault(slot, np.zeros(shape, dtype=np.int64))
        table[size_index, kernel, expand] = self._ids.setdefault(layer, len(self._ids))
