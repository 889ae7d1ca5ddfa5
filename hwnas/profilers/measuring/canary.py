"""The canary: a small network that never changes, timed beside others to tell the machine's speed."""

from hwnas.spaces import Layer, Network, random_network

# Some 20 million multiply-accumulates in layers of the usual kinds: a fraction of a millisecond on a
# core, in a processor's nearest caches as small networks are. Its times are kept with measurements,
# so a change here makes the devices that use it begin anew.
_LAYERS = (
    Layer("conv", 3, 16, 48, 3, 2, activation="relu", name="stem"),
    Layer("mbconv", 16, 16, 24, 3, 1, 64, activation="relu", name="block.0"),
    Layer("mbconv", 16, 32, 24, 5, 2, 96, activation="relu", name="block.1"),
    Layer("mbconv", 32, 32, 12, 3, 1, 128, activation="relu", name="block.2"),
    Layer("mbconv", 32, 64, 12, 3, 2, 192, activation="relu", name="block.3"),
    Layer("conv", 64, 256, 6, 1, 1, activation="relu", name="head"),
    Layer("pool", 256, 256, 6, name="pool"),
    Layer("linear", 256, 10, 1, name="classifier"),
)


def canary_network() -> Network:
    """Returns the network that devices of any space take for their canary."""
    return random_network(_LAYERS)
