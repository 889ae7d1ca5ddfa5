"""Bitwidth policies as genes: which bits a layer may have, and which layers share theirs.

A *pair* is the bits of a layer's weights and of its activations. A device says which pairs it runs,
a space says which layers choose together; `BitGenes` is what both leave to choose.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import InputError
from hwnas.spaces.bit_rule import BitRule, Tie
from hwnas.spaces.candidates import Candidates
from hwnas.spaces.layer import FLOAT_BITS
from hwnas.spaces.space import Ints, Space

Pair = tuple[int, int]
_STEP = FLOAT_BITS + 1


def alike(bits: Sequence[int]) -> tuple[Pair, ...]:
    """Returns the pairs with as many bits for activations as for weights."""
    return tuple((one, one) for one in dict.fromkeys(bits))


def crossed(weights: Sequence[int], activations: Sequence[int]) -> tuple[Pair, ...]:
    """Returns every combination of weight and activation bits."""
    return tuple(product(dict.fromkeys(weights), dict.fromkeys(activations)))


@dataclass(frozen=True, eq=False)
class BitGenes:
    """The genes of a policy: for each group of slots that choose together, one choice of pair.

    Where a group may have every combination of its weight and activation bits, these are two
    positions of a vector, so that crossing and mutating treat them apart; else one position. Groups
    with nothing to choose have no position.

    Build it with `BitGenes.of`.

    Attributes:
        group_of_slot: int64 [slots], -1 for slots without weights.
        allowed: for each group, its pairs, the device's order.
    """

    space: Space
    group_of_slot: Ints
    allowed: tuple[tuple[Pair, ...], ...]

    @staticmethod
    def of(space: Space, pairs: Sequence[Pair], rule: BitRule | None = None) -> "BitGenes":
        """Returns the genes of a space's policies.

        Args:
            space: whose slots choose.
            pairs: what the device runs, the one to fall back on first.
            rule: None takes the space's own.

        Raises:
            InputError: no pair.
        """
        if not pairs:
            raise InputError("a bitwidth policy needs at least one pair of weight and activation bits")
        rule, every = rule or space.bit_rule, tuple(dict.fromkeys(pairs))
        weighted = [index for index, has in enumerate(space.quantizable_slots) if has]
        names = {index: _group_name(space.slots[index], rule.tie) for index in weighted}
        held = dict.fromkeys(weighted, every)
        for index, least in ((weighted[0], rule.first_at_least), (weighted[-1], rule.last_at_least)):
            held[index] = tuple(pair for pair in held[index] if min(pair) >= least) or (
                max(every, key=lambda pair: (min(pair), sum(pair))),
            )
            if held[index] != every:
                names[index] = space.slots[index] + " alone"
        numbers = {name: number for number, name in enumerate(dict.fromkeys(names.values()))}
        groups = np.full(len(space.slots), -1, dtype=np.int64)
        allowed: dict[int, tuple[Pair, ...]] = {}
        for index in weighted:
            groups[index] = numbers[names[index]]
            allowed[numbers[names[index]]] = held[index]
        return BitGenes(space, groups, tuple(allowed[number] for number in range(len(numbers))))

    @cached_property
    def choice_counts(self) -> Ints:
        """The number of choices at each position, int64 [length]; may be empty."""
        return np.array([count for _, count, _ in self._positions], dtype=np.int64)

    def decode(self, vectors: Ints) -> tuple[Ints, Ints]:
        """Returns the bits [n, slots] of weights and of activations of vectors [n, length]; 32 where none."""
        chosen = np.zeros((len(vectors), len(self.allowed)), dtype=np.int64)
        for column, (group, _, stride) in enumerate(self._positions):
            chosen[:, group] += vectors[:, column] * stride
        return self._of_choices(chosen)

    def encode(self, candidates: Candidates) -> Ints:
        """Returns canonical vectors [n, length].

        A group's first filled slot speaks for it; a pair that is no choice takes the first, a group
        without filled slots as well.
        """
        used = (candidates.layer_ids >= 0) & self.space.quantizable_slots
        codes = candidates.weight_bits * _STEP + candidates.activation_bits
        chosen = np.zeros((len(used), len(self.allowed)), dtype=np.int64)
        rows = np.arange(len(used))
        for group, pairs in enumerate(self.allowed):
            slots = np.flatnonzero(self.group_of_slot == group)
            speaker = slots[used[:, slots].argmax(axis=1)]
            known = np.array(pairs) @ (_STEP, 1)
            found = (codes[rows, speaker][:, None] == known).argmax(axis=1)
            chosen[:, group] = np.where(used[rows, speaker], found, 0)
        columns = [chosen[:, group] // stride % count for group, count, stride in self._positions]
        return np.stack(columns, axis=1) if columns else np.zeros((len(used), 0), dtype=np.int64)

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
        """Returns n random policies, weight and activation bits [n, slots].

        The share of each bitwidth is drawn for each policy first, so that networks that are nearly
        all of one bitwidth are as likely as even mixtures.
        """
        every = tuple(dict.fromkeys(pair for pairs in self.allowed for pair in pairs))
        shares = self._shares(every, n, rng)
        draws = rng.random((n, len(self.allowed)))
        chosen = np.zeros((n, len(self.allowed)), dtype=np.int64)
        for group, pairs in enumerate(self.allowed):
            heap = shares[:, [every.index(pair) for pair in pairs]].cumsum(axis=1)
            above = draws[:, group, None] * heap[:, -1:] > heap
            chosen[:, group] = np.minimum(above.sum(axis=1), len(pairs) - 1)
        return self._of_choices(chosen)

    def fitted(self, candidates: Candidates) -> tuple[Ints, Ints]:
        """Returns the bits [n, slots] of the nearest policies that these genes can express: see `encode`."""
        return self.decode(self.encode(candidates))

    def _shares(self, every: Sequence[Pair], n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """How likely each pair is in each of n policies, [n, pairs]."""
        sides = _sides(every)
        if sides is None:
            return rng.dirichlet(np.ones(len(every)), size=n)
        weights, activations = (rng.dirichlet(np.ones(len(side)), size=n) for side in sides)
        where = [(sides[0].index(w), sides[1].index(a)) for w, a in every]
        return np.stack([weights[:, w] * activations[:, a] for w, a in where], axis=1)

    def _of_choices(self, chosen: Ints) -> tuple[Ints, Ints]:
        """Bits [n, slots] of the index of each group's pair [n, groups]."""
        weights = np.full((len(chosen), len(self.space.slots)), FLOAT_BITS, dtype=np.int64)
        activations = weights.copy()
        for slot, group in enumerate(self.group_of_slot):
            if group >= 0:
                pairs = np.array(self.allowed[group])[chosen[:, group]]
                weights[:, slot], activations[:, slot] = pairs[:, 0], pairs[:, 1]
        return weights, activations

    @cached_property
    def _positions(self) -> list[tuple[int, int, int]]:
        """Group, number of choices, and what one step counts in the index of the group's pair."""
        positions = []
        for group, pairs in enumerate(self.allowed):
            sides = _sides(pairs)
            if sides is None:
                parts = [(len(pairs), 1)]
            else:
                parts = [(len(sides[0]), len(sides[1])), (len(sides[1]), 1)]
            positions += [(group, count, stride) for count, stride in parts if count > 1]
        return positions


def _sides(pairs: Sequence[Pair]) -> tuple[list[int], list[int]] | None:
    """The weight and activation bits whose combinations the pairs are, in order; None where they are not."""
    weights, activations = (list(dict.fromkeys(pair[side] for pair in pairs)) for side in (0, 1))
    return (weights, activations) if tuple(pairs) == crossed(weights, activations) else None


def _group_name(slot: str, tie: Tie) -> str:
    if tie == "network":
        return ""
    return slot if tie == "layer" else slot.rpartition(".")[0] or slot
