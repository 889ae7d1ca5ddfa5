"""Many candidates as arrays: what predictors and searches work on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import InputError
from hwnas.spaces.architecture import Architecture, BitwidthPolicy, Candidate
from hwnas.spaces.costs import Costs
from hwnas.spaces.layer import FLOAT_BITS, Layer
from hwnas.spaces.space import Ints, Space


@dataclass(frozen=True, eq=False)
class Candidates:
    """n candidates of one space, canonical: empty and unquantizable slots hold 32 bits.

    Build it with `Candidates.of_genomes`, `of_architectures` or `of_json`.

    Attributes:
        genomes: int64 [n, genes].
        weight_bits, activation_bits: int64 [n, slots].
    """

    space: Space
    genomes: Ints
    weight_bits: Ints
    activation_bits: Ints

    @staticmethod
    def of_genomes(
        space: Space,
        genomes: Ints,
        weight_bits: Ints | int = FLOAT_BITS,
        activation_bits: Ints | int = FLOAT_BITS,
    ) -> "Candidates":
        """Returns candidates in canonical form; bits are [n, slots] or one number for all."""
        genomes = space.canonical(genomes)
        shape = (len(genomes), len(space.slots))
        settled = (space.layer_ids(genomes) >= 0) & space.quantizable_slots
        weights = np.where(settled, np.broadcast_to(weight_bits, shape), FLOAT_BITS)
        activations = np.where(settled, np.broadcast_to(activation_bits, shape), FLOAT_BITS)
        return Candidates(space, genomes, weights.astype(np.int64), activations.astype(np.int64))

    @staticmethod
    def of_architectures(
        space: Space, architectures: Sequence[Architecture], bits: int = FLOAT_BITS
    ) -> "Candidates":
        """Returns candidates with the same bits in every layer."""
        return Candidates.of_genomes(space, space.genomes(architectures), bits, bits)

    @staticmethod
    def of_json(space: Space, rows: Sequence[Mapping[str, Any]]) -> "Candidates":
        """Returns candidates from parsed JSON; a row without `bits` is floating point.

        Raises:
            InputError: as `Space.architecture`, or bits that do not fit the chain of layers.
        """
        if not rows:
            return Candidates.of_genomes(space, np.zeros((0, len(space.genes)), dtype=np.int64))
        singles = [_single(space, row) for row in rows]
        return Candidates(
            space,
            np.concatenate([one.genomes for one in singles]),
            np.concatenate([one.weight_bits for one in singles]),
            np.concatenate([one.activation_bits for one in singles]),
        )

    def __len__(self) -> int:
        return len(self.genomes)

    def __getitem__(self, rows: "slice | Ints | NDArray[np.bool_] | list[int]") -> "Candidates":
        return Candidates(self.space, self.genomes[rows], self.weight_bits[rows], self.activation_bits[rows])

    @staticmethod
    def concatenate(parts: "Sequence[Candidates]") -> "Candidates":
        """Returns the candidates of all parts, in order; there must be at least one part."""
        return Candidates(
            parts[0].space,
            np.concatenate([part.genomes for part in parts]),
            np.concatenate([part.weight_bits for part in parts]),
            np.concatenate([part.activation_bits for part in parts]),
        )

    @cached_property
    def layer_ids(self) -> Ints:
        """Vocabulary ids [n, slots]; -1 where a slot is empty."""
        return self.space.layer_ids(self.genomes)

    @cached_property
    def ids(self) -> list[str]:
        """The short names of the candidates, equal for equal candidates."""
        return [candidate.id for candidate in self.unpack()]

    def unpack(self) -> list[Candidate]:
        """Returns each candidate as a value."""
        used = (self.layer_ids >= 0) & self.space.quantizable_slots
        return [
            Candidate(architecture, BitwidthPolicy(tuple(w[u].tolist()), tuple(a[u].tolist())))
            for architecture, u, w, a in zip(
                self.space.architectures(self.genomes),
                used,
                self.weight_bits,
                self.activation_bits,
                strict=True,
            )
        ]

    def layers(self, row: int) -> tuple[Layer, ...]:
        """Returns the chain of layers of one candidate, with its bits and the slots' names."""
        return tuple(
            replace(self.space.vocabulary[i], weight_bits=int(w), activation_bits=int(a), name=slot)
            for slot, i, w, a in zip(
                self.space.slots,
                self.layer_ids[row],
                self.weight_bits[row],
                self.activation_bits[row],
                strict=True,
            )
            if i >= 0
        )

    def costs(self) -> Costs:
        """Returns the analytic costs, one array of n for each."""
        return self.space.cost_table.costs(self.layer_ids, self.weight_bits, self.activation_bits)

    def within(self, pairs: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
        """Returns which candidates [n] hold only these pairs of weight and activation bits."""
        used = (self.layer_ids >= 0) & self.space.quantizable_slots
        held = [(self.weight_bits == w) & (self.activation_bits == a) for w, a in pairs]
        return np.asarray((np.any(held, axis=0) | ~used).all(axis=1))

    def first_of_each(self) -> Ints:
        """Returns the row numbers of the first candidate of each distinct kind, ascending."""
        rows = np.concatenate([self.genomes, self.weight_bits, self.activation_bits], axis=1)
        return np.sort(np.unique(rows, axis=0, return_index=True)[1])


def _single(space: Space, row: Mapping[str, Any]) -> Candidates:
    genome = space.genomes([space.architecture(row)])
    if row.get("bits") is None:
        return Candidates.of_genomes(space, genome)
    used = (space.layer_ids(genome)[0] >= 0) & space.quantizable_slots
    weights = np.full((1, len(space.slots)), FLOAT_BITS, dtype=np.int64)
    activations = weights.copy()
    for name, target in (("weights", weights), ("activations", activations)):
        bits = row["bits"].get(name) if isinstance(row["bits"], Mapping) else None
        if not isinstance(bits, list) or len(bits) != used.sum():
            raise InputError(
                f"architecture: bits.{name} must be a list of {used.sum()} bitwidths, one for each layer "
                f"with weights, but got {bits!r}"
            )
        if not all(isinstance(b, int) and (1 <= b <= 16 or b == FLOAT_BITS) for b in bits):
            raise InputError(f"architecture: bits.{name} must be from 1 to 16, or 32, but got {bits}")
        target[0, used] = bits
    return Candidates.of_genomes(space, genome, weights, activations)
