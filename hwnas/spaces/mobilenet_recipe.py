"""What defines a MobileNet-style space: the same fields in Python and in a YAML file."""

import re
from dataclasses import dataclass
from math import prod
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, model_validator
from pydantic_core import PydanticCustomError

from hwnas.spaces.bit_rule import BitRule, Tie

# Every layer of a vocabulary costs memory and start-up time: this many take about a second.
MOST_LAYERS = 200_000
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def refused(says: str, field: str = "") -> PydanticCustomError:
    """Returns the error of one field; `field` names it where the recipe was looked at as a whole."""
    return PydanticCustomError("refused", "{says}", {"says": says, "field": field})


def shown(value: Any) -> str:
    """Returns a value as the file would say it, cut short."""
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


@dataclass(frozen=True)
class _Number:
    """What a number must be, and an example."""

    low: float
    high: float
    must: str
    use: str
    whole: bool = True
    odd: bool = False
    most_choices: int = 32

    def one(self, value: Any) -> Any:
        """Returns the number, checked."""
        fits = isinstance(value, int if self.whole else int | float) and not isinstance(value, bool)
        if not fits or not self.low <= value <= self.high or (self.odd and value % 2 == 0):
            raise refused(f"must be {self.must}, but got {shown(value)}; use {self.use}")
        return value

    def choices(self, value: Any) -> tuple[Any, ...]:
        """Returns ascending choices from a number or a list of them."""
        listed = [self.one(one) for one in (value if isinstance(value, list | tuple) else [value])]
        if not listed or len(set(listed)) < len(listed):
            raise refused(f"must hold each choice once, and one at least, but got {shown(value)}")
        if len(listed) > self.most_choices:
            raise refused(f"must hold at most {self.most_choices} choices, but got {len(listed)}")
        whole = all(one == int(one) for one in listed)
        return tuple(sorted(int(one) if whole else float(one) for one in listed))


def _as_written(choices: tuple[Any, ...]) -> Any:
    return choices[0] if len(choices) == 1 else list(choices)


def _one_of(*allowed: str) -> BeforeValidator:
    def check(value: Any) -> Any:
        if value not in allowed:
            raise refused(f"must be {', '.join(allowed[:-1])} or {allowed[-1]}, but got {shown(value)}")
        return value

    return BeforeValidator(check)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise refused(f"must be true or false, but got {shown(value)}")
    return value


def checked_name(value: Any) -> str:
    """Returns the name of a space or a device, fit for file names; anything else is `refused`."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise refused(
            "must be up to 64 of a-z, 0-9, '.', '_' and '-', the first a letter or digit, "
            f"but got {shown(value)}"
        )
    return value


_CHANNELS = _Number(1, 65536, "a whole number of channels from 1 to 65536", "24, or a list such as [24, 32]")
_BLOCKS = _Number(1, 32, "a whole number of blocks from 1 to 32", "2, or a list such as [2, 3, 4]")
_KERNEL = _Number(3, 31, "an odd number from 3 to 31", "3, 5 or 7", odd=True)
_RATIO = _Number(0.01, 64, "a ratio from 0.01 to 64", "4, or a list such as [3, 4.5, 6]", whole=False)
_PIXELS = _Number(
    1, 4096, "a whole number of pixels from 1 to 4096", "224, or a list such as [192, 224]", most_choices=128
)
_STRIDE = _Number(1, 2, "1 or 2", "2 where the map is to be halved")
_EPS = _Number(1e-9, 1, "a number from 1e-9 to 1", "1.0e-5", whole=False)
_LEAST_BITS = _Number(1, 32, "a whole number of bits from 1 to 32", "8, or 1 for no rule")
_CLASSES = _Number(2, 1_000_000, "a whole number of classes, 2 or more", "1000")

_Written = PlainSerializer(_as_written)
Widths = Annotated[tuple[int, ...], BeforeValidator(_CHANNELS.choices), _Written]
Depths = Annotated[tuple[int, ...], BeforeValidator(_BLOCKS.choices), _Written]
Kernels = Annotated[tuple[int, ...], BeforeValidator(_KERNEL.choices), _Written]
Expands = Annotated[tuple[int, ...] | tuple[float, ...], BeforeValidator(_RATIO.choices), _Written]
Sizes = Annotated[tuple[int, ...], BeforeValidator(_PIXELS.choices), _Written]
ActivationName = Annotated[Literal["relu", "relu6", "h_swish"], _one_of("relu", "relu6", "h_swish")]
Flag = Annotated[bool, BeforeValidator(_flag)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Part(_Model):
    """A convolution before or after the stages.

    Attributes:
        width: output channels, one number or a list of choices.
    """

    width: Widths
    activation: ActivationName = "relu"


class Stage(_Model):
    """A run of inverted bottlenecks of one width; the first carries the stride.

    `width`, `depth`, `kernel` and `expand` are one number or a list of choices.

    Attributes:
        width: output channels of each block.
        depth: how many blocks run.
        kernel: of the depthwise convolution.
        expand: inner channels over input channels, rounded to a multiple of 8; a block with 1 has
            no expanding convolution.
        se: squeeze-and-excitation after the depthwise convolution.
    """

    width: Widths
    depth: Depths
    kernel: Kernels
    expand: Expands
    stride: Annotated[int, BeforeValidator(_STRIDE.one)] = 1
    activation: ActivationName = "relu"
    se: Flag = False


class BitSection(_Model):
    """Which layers share bits, and the least bits at both ends; see `BitRule`."""

    tie: Annotated[Tie, _one_of("layer", "stage", "network")] = "layer"
    first_at_least: Annotated[int, BeforeValidator(_LEAST_BITS.one)] = 8
    last_at_least: Annotated[int, BeforeValidator(_LEAST_BITS.one)] = 8


class MobileNetRecipe(_Model):
    """Everything that defines a MobileNet-style space.

    Attributes:
        image_sizes: choices of the input side in px.
        stem: the 3x3 stride-2 convolution at the front.
        first: a fixed 3x3 block without expansion after the stem, of one width; None for none.
        stages: in order.
        head: the 1x1 convolution before the pool, of one width.
        feature: a 1x1 convolution after the pool (no normalisation, no bias); None for none.
        tied: one choice of kernel and expand ratio a stage rather than a block.
        norm_eps: what batch normalisation adds to variances.
        num_classes: outputs of the classifier where no data set says.
        bits: who chooses bitwidths; None for each layer, at least 8 bits in the first and the last.
    """

    name: Annotated[str, BeforeValidator(checked_name)]
    image_sizes: Sizes
    stem: Part
    first: Part | None = None
    stages: tuple[Stage, ...]
    head: Part
    feature: Part | None = None
    tied: Flag = False
    norm_eps: Annotated[float, BeforeValidator(_EPS.one)] = 1e-5
    num_classes: Annotated[int, BeforeValidator(_CLASSES.one)] = 1000
    bits: BitSection | None = None

    @property
    def widths(self) -> tuple[Part | Stage, ...]:
        """The parts whose width may be a choice: stem, stages, feature."""
        return (self.stem, *self.stages, *([self.feature] if self.feature else []))

    @property
    def bit_rule(self) -> BitRule:
        """The rule of its policies."""
        section = self.bits or BitSection()
        return BitRule(section.tie, section.first_at_least, section.last_at_least)

    @property
    def elastic_widths(self) -> bool:
        """Whether any width is a choice."""
        return any(len(part.width) > 1 for part in self.widths)

    @model_validator(mode="after")
    def _fits_together(self) -> "MobileNetRecipe":
        if not 1 <= len(self.stages) <= 32:
            raise refused(f"must be a list of 1 to 32 stages, but got {len(self.stages)}", "stages")
        for field, part in (("first", self.first), ("head", self.head)):
            if part and len(part.width) > 1:
                raise refused(f"must be one number, but got {list(part.width)}", f"{field}.width")
        stride = 2 * prod(stage.stride for stage in self.stages)
        if self.image_sizes[0] < stride:
            raise refused(
                f"must be at least {stride}, what the strides of stem and stages multiply to, "
                f"but got {self.image_sizes[0]}; choose larger images or smaller strides",
                "image_sizes",
            )
        layers = self._most_layers()
        if layers > MOST_LAYERS:
            raise refused(
                f"must combine to at most {MOST_LAYERS:,} different layers over all image sizes, but got "
                f"{layers:,}; leave out choices of image_sizes, width, kernel or expand",
                "stages",
            )
        return self

    def _most_layers(self) -> int:
        """How many layers there can be, or architectures that cover them where those are more."""
        before = 1 if self.first else len(self.stem.width)
        blocks = 0
        for stage in self.stages:
            here = len(stage.kernel) * len(stage.expand) * len(stage.width)
            blocks += here * (before + stage.depth[-1] - 1)
            before = len(stage.width)
        most_widths = max(len(part.width) for part in self.widths)
        most_kernels, most_expands = (
            max(len(choices) for choices in listed)
            for listed in zip(*((stage.kernel, stage.expand) for stage in self.stages), strict=True)
        )
        return len(self.image_sizes) * max(blocks, most_widths**2 * most_kernels * most_expands)
