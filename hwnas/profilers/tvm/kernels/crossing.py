"""Where 8-bit layers meet others: which layer reads and makes what, and the kernels in between.

A layer runs as one of three: in floating point (float32 maps), in 8 bits (uint8 maps; the image that
enters is float32), or as a conversion between two of those. A conversion is written as a `max_pool`
of one element, which changes nothing but the form: its weight bits are those of what it reads, its
activation bits those of what it makes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from hwnas.spaces import FLOAT_BITS, INPUT, Layer, activation_bits

BYTE_BITS = 8
LayerKey = tuple[Layer, bool]


@dataclass(frozen=True)
class Link:
    """What runs next in a chain.

    Attributes:
        layer: as it runs: a weightless layer between two of 8 bits has 8 bits too.
        image: whether it reads the image.
        reads: the name of the tensor it reads.
    """

    layer: Layer
    image: bool
    reads: str

    @property
    def key(self) -> LayerKey:
        """What the plan knows it by."""
        return self.layer, self.image


def conversion(channels: int, size_px: int, reads: int, makes: int) -> Layer:
    """Returns the layer that stands for a map's change from some bits to others."""
    return Layer(
        "max_pool", channels, channels, size_px, norm=False, weight_bits=reads, activation_bits=makes
    )


def converts(layer: Layer) -> bool:
    """Returns whether a layer stands for a change of form."""
    return layer.kind == "max_pool" and layer.weight_bits != layer.activation_bits


def runs_in_bytes(layer: Layer) -> bool:
    """Returns whether a layer runs in 8 bits throughout."""
    return layer.weight_bits == layer.activation_bits == BYTE_BITS


def links_of(layers: Sequence[Layer], starts_with_image: bool = True) -> list[Link]:
    """Returns what runs, in order: the layers, and conversions where two of them do not fit together.

    What comes in is float32, and so is what goes out.
    """
    return list(_links(layers, activation_bits(layers), starts_with_image))


def _links(layers: Sequence[Layer], bits: Mapping[str, int], image: bool) -> Iterator[Link]:
    reads, form = INPUT, FLOAT_BITS
    for index, layer in enumerate(layers):
        made = f"{layer.name}.{layer.ops[-1].name}"
        if not layer.quantizable and form == BYTE_BITS and made in bits:
            layer = replace(layer, weight_bits=BYTE_BITS, activation_bits=BYTE_BITS)
        first = image and index == 0
        wanted = BYTE_BITS if runs_in_bytes(layer) else FLOAT_BITS
        if form != wanted and not first:
            yield Link(conversion(layer.in_channels, layer.in_size_px, form, wanted), False, reads)
        yield Link(layer, first, reads)
        reads, form = made, FLOAT_BITS if layer.kind == "linear" else wanted
    if form != FLOAT_BITS:
        last = layers[-1]
        yield Link(conversion(last.out_channels, last.out_size_px, form, FLOAT_BITS), False, reads)
