"""The elastic ResNet-50 of Once-for-All: depth, width and bottleneck ratio in every stage."""

from collections.abc import Iterator
from itertools import product
from math import prod

from hwnas.spaces.architecture import Architecture
from hwnas.spaces.layer import Layer, make_divisible
from hwnas.spaces.slots import Entry, SlotTables
from hwnas.spaces.space import Gene, Space, uniform_architectures

_FACTORS = (0.65, 0.8, 1.0)
_EXPANDS = (0.2, 0.25, 0.35)
_STEM_WIDTHS = (32, 64)
_STAGE_WIDTHS = (256, 512, 1024, 2048)
_STAGE_BLOCKS = (2, 2, 4, 2)
_STRIDES = (1, 2, 2, 2)
_MORE_BLOCKS = (0, 1, 2)
_IMAGE_SIZES = tuple(range(128, 225, 4))


class ResNetSpace(Space):
    """The space of `ofa-resnet50`.

    Genes: `e` a block, the bottleneck's inner channels over its outputs; `d` five numbers: the stem
    keeps its residual convolution at 2, and each stage has so many blocks above its fewest; `w` six
    indices of a width factor: the stem's first two convolutions, its last, and the four stages; and
    the image size `r`.

    Source: Once-for-All (Cai et al., 2020), `ofa_resnet50`; ResNet-D (He et al., 2019) for the stem
    and the shortcuts.
    """

    def __init__(self, num_classes: int = 1000) -> None:
        """Builds the tables of every layer that any architecture can hold."""
        self.name = "ofa-resnet50"
        self.num_classes = num_classes
        self.genes = _genes()
        entries = (
            entry for row, size_px in enumerate(_IMAGE_SIZES) for entry in _chain(row, size_px, num_classes)
        )
        self.tables = SlotTables.of({gene.name: len(gene.choices) for gene in self.genes}, entries)

    @property
    def num_architectures(self) -> int:
        """The number of distinct architectures, counted exactly."""
        stem = prod(len(set(_widths(base))) for base in _STEM_WIDTHS) * 2
        stages = [
            sum(
                len({_mid_channels(width, e) for e in _EXPANDS}) ** (blocks + more)
                for width in set(_widths(base))
                for more in _MORE_BLOCKS
            )
            for base, blocks in zip(_STAGE_WIDTHS, _STAGE_BLOCKS, strict=True)
        ]
        return int(stem * prod(stages) * len(_IMAGE_SIZES))

    def covering(self) -> list[Architecture]:
        """Returns the deepest architectures with one bottleneck ratio and size throughout."""
        return uniform_architectures(self)


def _genes() -> tuple[Gene, ...]:
    stem = (len(_STEM_WIDTHS),) * 2 + (len(_STEM_WIDTHS) + 1,)
    blocks = [tuple(fewest + more for more in _MORE_BLOCKS) for fewest in _STAGE_BLOCKS]
    return (
        *(Gene("e", i, _EXPANDS) for i in range(sum(most[-1] for most in blocks))),
        *(Gene("d", i, _MORE_BLOCKS, amounts) for i, amounts in enumerate((stem, *blocks))),
        *(Gene("w", i, (0, 1, 2), _FACTORS) for i in range(len(_STEM_WIDTHS) + len(_STAGE_WIDTHS))),
        Gene("r", None, _IMAGE_SIZES),
    )


def _widths(base: int) -> tuple[int, ...]:
    return tuple(make_divisible(base * factor) for factor in _FACTORS)


def _mid_channels(width: int, expand: float) -> int:
    return make_divisible(round(width * expand))


def _chain(row: int, size_px: int, num_classes: int) -> Iterator[Entry]:
    """Yields the layers of every slot at an image size."""
    size = (size_px - 1) // 2 + 1
    first, last = map(_widths, _STEM_WIDTHS)
    keeps = len(_MORE_BLOCKS) - 1
    for w, inside in enumerate(first):
        conv = Layer("conv", 3, inside, size_px, kernel=3, stride=2, activation="relu")
        yield "stem.0", {"r": row, "w[0]": w}, conv
        conv = Layer("residual_conv", inside, inside, size, kernel=3, activation="relu")
        yield "stem.1", {"r": row, "w[0]": w, "d[0]": keeps}, conv
        for v, out in enumerate(last):
            conv = Layer("conv", inside, out, size, kernel=3, activation="relu")
            yield "stem.2", {"r": row, "w[0]": w, "w[1]": v}, conv
    for v, out in enumerate(last):
        pool = Layer("max_pool", out, out, size, kernel=3, stride=2, norm=False)
        yield "stem.pool", {"r": row, "w[1]": v}, pool
    yield from _stages(row, (size - 1) // 2 + 1, num_classes)


def _stages(row: int, size: int, num_classes: int) -> Iterator[Entry]:
    position = 0
    for stage, fewest in enumerate(_STAGE_BLOCKS):
        for block in range(fewest + _MORE_BLOCKS[-1]):
            yield from _block({"r": row}, stage, block, position, size)
            size = (size - 1) // (_STRIDES[stage] if block == 0 else 1) + 1
            position += 1
    last = f"w[{len(_STEM_WIDTHS) + len(_STAGE_WIDTHS) - 1}]"
    for w, width in enumerate(_widths(_STAGE_WIDTHS[-1])):
        pool = Layer("pool", width, width, size, kernel=size, norm=False)
        yield "pool", {"r": row, last: w}, pool
        linear = Layer("linear", width, num_classes, 1, norm=False)
        yield "classifier", {"r": row, last: w}, linear


def _block(at: dict[str, int], stage: int, block: int, position: int, size: int) -> Iterator[Entry]:
    gene = len(_STEM_WIDTHS) + stage
    widths = _widths(_STAGE_WIDTHS[stage])
    runs = {}
    if block >= _STAGE_BLOCKS[stage]:
        runs = {f"d[{stage + 1}]": slice(block - _STAGE_BLOCKS[stage] + 1, None)}
    before: list[tuple[dict[str, int], int]] = [({}, 0)]
    if block == 0:
        base = _STAGE_WIDTHS[stage - 1] if stage else _STEM_WIDTHS[-1]
        before = [({f"w[{gene - 1}]": v}, inside) for v, inside in enumerate(_widths(base))]
    for (was, inside), (w, width), (e, expand) in product(before, enumerate(widths), enumerate(_EXPANDS)):
        layer = Layer(
            "bottleneck",
            inside if block == 0 else width,
            width,
            size,
            kernel=3,
            stride=_STRIDES[stage] if block == 0 else 1,
            mid_channels=_mid_channels(width, expand),
            activation="relu",
        )
        here: dict[str, int | slice] = {**at, **was, f"w[{gene}]": w, f"e[{position}]": e, **runs}
        yield f"stages.{stage}.{block}", here, layer
