"""Chains of layers made by hand, for what reads layers and needs no space."""

from dataclasses import replace

from hwnas.spaces import Layer, activation_bits, operations
from hwnas.spaces.layer import Activation


def residual_chain(size_px: int, bits: int = 32, activation: Activation = "relu") -> tuple[Layer, ...]:
    """Returns a small ResNet-D with every kind of shortcut: none, the input, and both projections."""
    rows: list[Layer] = [Layer("conv", 3, 8, size_px, 3, 2, activation=activation, name="stem.0")]

    def add(name: str, kind: str, channels: int, mid: int = 0, kernel: int = 3, stride: int = 1) -> None:
        inside, size = rows[-1].out_channels, rows[-1].out_size_px
        plain = kind in ("max_pool", "pool", "linear")
        layer = Layer(
            kind,  # type: ignore[arg-type]
            *(inside, channels, size, size if kind == "pool" else kernel, stride, mid),
            activation="none" if plain else activation,
            norm=not plain,
            name=name,
        )
        rows.append(layer)

    add("stem.1", "residual_conv", 8)
    add("stem.2", "conv", 16)
    add("max_pool", "max_pool", 16, stride=2)
    add("stages.0.0", "bottleneck", 32, mid=8)
    add("stages.0.1", "bottleneck", 32, mid=16)
    add("stages.1.0", "bottleneck", 48, mid=16, stride=2)
    add("stages.1.1", "bottleneck", 48, mid=16, kernel=5)
    add("pool", "pool", 48)
    add("classifier", "linear", 10, kernel=1)
    return at_bits(rows, bits)


def at_bits(layers: "tuple[Layer, ...] | list[Layer]", bits: int) -> tuple[Layer, ...]:
    """Returns the layers with these bits wherever there are weights."""
    return tuple(
        replace(layer, weight_bits=bits, activation_bits=bits) if layer.quantizable else layer
        for layer in layers
    )


def simulated_peak(layers: tuple[Layer, ...]) -> int:
    """The most bytes alive while the chain runs, an operation at a time.

    A tensor lives from the operation that makes it to the last that reads it; sums and scalings write
    over what they read first; the vectors of squeeze-and-excitation take no room.
    """
    steps = list(operations(layers))
    bits = activation_bits(layers)
    last_use = {tensor: index for index, (_, _, reads) in enumerate(steps) for tensor in reads}
    last_use[f"{steps[-1][0].name}.{steps[-1][1].name}"] = len(steps)

    def room(tensor: str, elements: int) -> int:
        return -(-elements * bits.get(tensor, 32) // 8)

    first = layers[0]
    alive = {"input": room("input", first.in_channels * first.in_size_px**2)}
    peak = 0
    for index, (layer, op, reads) in enumerate(steps):
        elements = 0 if op.name.startswith("se_") else op.out_channels * op.out_size_px**2
        made = f"{layer.name}.{op.name}"
        if op.kind in ("add", "scale"):
            # In place: the room is that of the wider of the two.
            elements = op.out_channels * op.out_size_px**2
            peak = max(peak, sum(alive.values()))
            del alive[reads[0]]
        alive[made] = room(made, elements)
        peak = max(peak, sum(alive.values()))
        alive = {tensor: size for tensor, size in alive.items() if last_use[tensor] > index}
    return peak
