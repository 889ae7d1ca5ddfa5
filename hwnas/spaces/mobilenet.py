"""MobileNet-style elastic spaces: stages of inverted bottlenecks with a choice in every block."""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from hwnas.spaces.architecture import Architecture
from hwnas.spaces.layer import Layer, make_divisible
from hwnas.spaces.mobilenet_recipe import MobileNetRecipe, Stage
from hwnas.spaces.slots import Entry, SlotTables
from hwnas.spaces.space import Gene, Space, uniform_architectures

# The name of the gene of a width, None where there is none, and its choices.
_Width = tuple[str | None, tuple[int, ...]]


class MobileNetSpace(Space):
    """The space of a recipe.

    Genes: `ks` and `e` a block (a stage where the recipe ties them), `d` a stage, where any width
    is a choice `w` for the stem, each stage and the feature convolution, and the image size `r`.

    Source: Once-for-All (Cai et al., 2020), section 3.2; the first d blocks of a stage run. With
    tied genes and elastic widths: BigNAS (Yu et al., 2020), section 3.
    """

    def __init__(
        self,
        recipe: MobileNetRecipe,
        num_classes: int | None = None,
        definition: Mapping[str, Any] | None = None,
    ) -> None:
        """Builds the tables of every layer that any architecture can hold."""
        self.recipe = recipe
        self.name = recipe.name
        self.num_classes = num_classes or recipe.num_classes
        self.norm_eps = recipe.norm_eps
        self.definition = definition
        self.bit_rule = recipe.bit_rule
        self.genes = _genes(recipe)
        entries = (
            entry
            for row, size_px in enumerate(recipe.image_sizes)
            for entry in _chain(recipe, self.num_classes, row, size_px)
        )
        self.tables = SlotTables.of({gene.name: len(gene.choices) for gene in self.genes}, entries)

    @property
    def num_architectures(self) -> int:
        """The number of distinct architectures, counted exactly."""
        recipe = self.recipe
        ways = dict.fromkeys(recipe.stem.width, 1)
        if recipe.first:
            ways = {recipe.first.width[0]: len(ways)}
        for stage in recipe.stages:
            ways = {
                width: sum(count * _ways(stage, before, width, recipe.tied) for before, count in ways.items())
                for width in stage.width
            }
        features = len(recipe.feature.width) if recipe.feature else 1
        return sum(ways.values()) * features * len(recipe.image_sizes)

    def covering(self) -> list[Architecture]:
        """Returns the deepest architectures with one kernel, expand ratio and size throughout."""
        return uniform_architectures(self)


def mid_channels(channels: int, expand: float) -> int:
    """Returns the inner channels of an inverted bottleneck."""
    return channels if expand == 1 else make_divisible(round(channels * expand))


def _ways(stage: Stage, before: int, width: int, tied: bool) -> int:
    """How many runs of blocks a stage of this width has behind `before` channels."""
    first = [mid_channels(before, expand) for expand in stage.expand]
    later = [mid_channels(width, expand) for expand in stage.expand]
    kernels = len(stage.kernel)
    if tied:
        shallow, deep = len(set(first)), len(set(zip(first, later, strict=True)))
        return kernels * sum(shallow if depth == 1 else deep for depth in stage.depth)
    a_block = kernels * len(set(later))
    return sum(kernels * len(set(first)) * int(a_block ** (depth - 1)) for depth in stage.depth)


def _genes(recipe: MobileNetRecipe) -> tuple[Gene, ...]:
    owners = [stage for stage in recipe.stages for _ in range(1 if recipe.tied else stage.depth[-1])]
    return (
        *(Gene("ks", i, stage.kernel) for i, stage in enumerate(owners)),
        *(Gene("e", i, stage.expand) for i, stage in enumerate(owners)),
        *(Gene("d", i, stage.depth) for i, stage in enumerate(recipe.stages)),
        *(Gene("w", i, part.width) for i, part in enumerate(recipe.widths) if recipe.elastic_widths),
        Gene("r", None, recipe.image_sizes),
    )


def _chain(recipe: MobileNetRecipe, num_classes: int, row: int, size_px: int) -> Iterator[Entry]:
    """Yields the layers of every slot at an image size, the `row`th choice."""
    at = {"r": row}
    width = _width(recipe, 0)
    act = recipe.stem.activation
    for here, channels in _options(width):
        yield "stem", at | here, Layer("conv", 3, channels, size_px, kernel=3, stride=2, activation=act)
    size = (size_px - 1) // 2 + 1
    if recipe.first:
        out, act = recipe.first.width[0], recipe.first.activation
        for here, channels in _options(width):
            layer = Layer("mbconv", channels, out, size, kernel=3, mid_channels=channels, activation=act)
            yield "first", at | here, layer
        width = (None, (out,))
    for index, stage in enumerate(recipe.stages):
        for block in range(stage.depth[-1]):
            yield from _block(recipe, at, index, block, width, size)
            size = (size - 1) // (stage.stride if block == 0 else 1) + 1
            width = _width(recipe, index + 1)
    yield from _head(recipe, num_classes, at, width, size)


def _block(
    recipe: MobileNetRecipe, at: dict[str, int], index: int, block: int, before: _Width, size: int
) -> Iterator[Entry]:
    stage = recipe.stages[index]
    runs = {}
    if block >= stage.depth[0]:
        enough = [depth > block for depth in stage.depth].index(True)
        runs = {f"d[{index}]": slice(enough, None)}
    position = index if recipe.tied else sum(s.depth[-1] for s in recipe.stages[:index]) + block
    ks, e = f"ks[{position}]", f"e[{position}]"
    inside = list(_options(before))
    after = list(_options(_width(recipe, index + 1))) if block == 0 else [({}, 0)]
    for (was, channels), (becomes, width), (k, kernel), (x, expand) in product(
        inside, after, enumerate(stage.kernel), enumerate(stage.expand)
    ):
        layer = Layer(
            "mbconv",
            channels,
            width if block == 0 else channels,
            size,
            kernel=kernel,
            stride=stage.stride if block == 0 else 1,
            mid_channels=mid_channels(channels, expand),
            se=stage.se,
            activation=stage.activation,
        )
        here: dict[str, int | slice] = {**at, **was, **becomes, ks: k, e: x, **runs}
        yield f"stages.{index}.{block}", here, layer


def _head(
    recipe: MobileNetRecipe, num_classes: int, at: dict[str, int], before: _Width, size: int
) -> Iterator[Entry]:
    channels = recipe.head.width[0]
    for here, inside in _options(before):
        yield "head", at | here, Layer("conv", inside, channels, size, activation=recipe.head.activation)
    yield "pool", at, Layer("pool", channels, channels, size, kernel=size, norm=False)
    width: _Width = (None, (channels,))
    if recipe.feature:
        width = _width(recipe, len(recipe.stages) + 1)
        act = recipe.feature.activation
        for here, out in _options(width):
            yield "feature", at | here, Layer("conv", channels, out, 1, activation=act, norm=False)
    for here, inside in _options(width):
        yield "classifier", at | here, Layer("linear", inside, num_classes, 1, norm=False)


def _width(recipe: MobileNetRecipe, position: int) -> _Width:
    return f"w[{position}]" if recipe.elastic_widths else None, recipe.widths[position].width


def _options(width: _Width) -> Iterator[tuple[dict[str, int], int]]:
    """Yields for each choice of a width where it stands in a table, and its channels."""
    gene, choices = width
    for index, channels in enumerate(choices):
        yield ({} if gene is None else {gene: index}), channels
