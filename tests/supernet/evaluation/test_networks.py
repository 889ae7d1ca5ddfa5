"""What is kept of calibrated networks."""

import numpy as np

from hwnas.spaces import Network, get_space, random_network
from hwnas.supernet.evaluation.networks import KeptNetworks


def networks(n: int) -> list[Network]:
    space = get_space("demo")
    return [random_network(space.layers(one)) for one in space.sample(n, np.random.default_rng(0))]


def size_bytes(network: Network) -> int:
    return sum(weight.nbytes for weight in network.weights.values())


def test_the_oldest_give_way_where_there_is_no_room() -> None:
    some = networks(3)
    kept = KeptNetworks(sum(map(size_bytes, some)) - 1)
    for name, network in zip("abc", some, strict=True):
        kept.keep(name, network)
    assert kept.get("a") is None
    assert kept.get("b") is some[1]
    assert kept.get("c") is some[2]


def test_one_that_is_too_large_leaves_nothing_behind() -> None:
    (network,) = networks(1)
    kept = KeptNetworks(size_bytes(network) - 1)
    kept.keep("a", network)
    assert kept.get("a") is None


def test_keeping_the_same_twice_takes_its_room_once() -> None:
    some = networks(2)
    kept = KeptNetworks(sum(map(size_bytes, some)))
    for name, network in (("a", some[0]), ("a", some[0]), ("b", some[1])):
        kept.keep(name, network)
    assert kept.get("a") is some[0]
    assert kept.get("b") is some[1]
