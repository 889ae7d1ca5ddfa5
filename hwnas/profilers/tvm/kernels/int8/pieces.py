"""The kernels that an 8-bit layer is made of, their shapes and their roundings."""

from dataclasses import dataclass
from typing import Literal

from hwnas.profilers.tvm.kernels.emit import padded_classes
from hwnas.profilers.tvm.kernels.int8.rounding import Step, chain_of, first_tensor, rounded
from hwnas.profilers.tvm.kernels.int8.vnni import DEPTH, LANES
from hwnas.spaces import Layer, Op

_EXACT = 2**24

IMAGE_NUMBERS = 5
"""How many numbers the rounding of the image takes, see `numbers`."""

Form = Literal["dot", "image", "depthwise", "logits", "pool", "max_pool", "average_pool", "scale"]


@dataclass(frozen=True)
class Piece:
    """One kernel of an 8-bit layer.

    Attributes:
        form: how it computes.
        op: the operation, with its activation.
        add: the residual sum that it does as well.
        maps: the tensors it reads, within the layer; "" is the layer's input.
        made: the tensor it makes.
    """

    form: Form
    op: Op
    add: Op | None
    maps: tuple[str, ...]
    made: str

    @property
    def chain(self) -> list[Step]:
        """What it does with its sums."""
        if self.op.weights:
            return chain_of(self.op, self.add)
        return [Step("unit", first_tensor(self.op)), *rounded(self.op)]

    @property
    def out_shape(self) -> tuple[int, ...]:
        """The shape of what it makes."""
        if self.form == "logits":
            return (1, padded_classes(self.op.out_channels))
        return (1, self.op.out_size_px, self.op.out_size_px, self.op.out_channels)

    @property
    def padded_depth(self) -> int:
        """Input channels, filled up to what the instruction adds together."""
        return -(-self.op.in_channels // DEPTH) * DEPTH

    @property
    def padded_lanes(self) -> int:
        """Output channels, filled up to what the instruction adds to."""
        return -(-self.out_shape[-1] // LANES) * LANES

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """The shape of its weights; () where it has none."""
        if self.form in ("dot", "logits"):
            window = (self.op.kernel,) * 2 if self.op.kernel > 1 else ()
            return (self.padded_lanes // LANES, *window, self.padded_depth // DEPTH, LANES, DEPTH)
        if self.form == "image":
            return (self.op.kernel, self.op.kernel, self.op.in_channels, self.op.out_channels)
        return (self.op.kernel, self.op.kernel, self.op.out_channels) if self.form == "depthwise" else ()


def pieces_of(layer: Layer, image: bool) -> list[Piece]:
    """Returns the kernels of an 8-bit layer in the order they run.

    Args:
        layer: with 8 bits, or a pool between two such.
        image: whether it reads the image.
    """
    add = next((op for op in layer.ops if op.kind == "add"), None)
    pieces = [_piece(op, image) for op in layer.ops if op.kind != "add" and not _feeds(op, add)]
    if add:
        trunk = _piece(next(op for op in layer.ops if _feeds(op, add)), image)
        pieces.append(Piece(trunk.form, trunk.op, add, (*trunk.maps, add.inputs[1]), add.name))
    return pieces


def _feeds(op: Op, add: Op | None) -> bool:
    return add is not None and op.name == add.inputs[0]


def _piece(op: Op, image: bool) -> Piece:
    forms: dict[str, Form] = {"conv": "image" if image and op.inputs == ("",) else "dot", "linear": "logits"}
    form: Form = forms.get(op.kind, op.kind)  # type: ignore[arg-type]
    if form in ("image", "depthwise"):
        assert op.kernel**2 * (op.in_channels if form == "image" else 1) * 255 * 127 < _EXACT, op
    return Piece(form, op, None, op.inputs, op.name)
