"""The search's genome: the genes of an architecture, then a choice of bits for every slot."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwnas.spaces import Candidates, Space

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Genome:
    """Turns integer vectors into candidates and back.

    A vector has one choice index for each gene of the space, and, where the device runs more than
    one bitwidth, one index into `bits` for each slot (weights and activations alike).

    Attributes:
        bits: the bitwidths to choose from, such as (32, 8).
    """

    space: Space
    bits: tuple[int, ...]

    @cached_property
    def choice_counts(self) -> Ints:
        """The number of choices at each position of a vector."""
        genes = self.space.choice_counts
        if len(self.bits) == 1:
            return genes
        return np.concatenate([genes, np.full(len(self.space.slots), len(self.bits))])

    def decode(self, vectors: Ints) -> Candidates:
        """Returns the candidates of vectors [n, length]."""
        num_genes = len(self.space.genes)
        choices = np.array(self.bits)
        bits = choices[vectors[:, num_genes:]] if len(self.bits) > 1 else np.int64(self.bits[0])
        return Candidates.of_genomes(self.space, vectors[:, :num_genes], bits, bits)

    def encode(self, candidates: Candidates) -> Ints:
        """Returns the canonical vectors [n, length]; bits that are no choice here take the first."""
        if len(self.bits) == 1:
            return candidates.genomes
        matches = candidates.weight_bits[:, :, None] == np.array(self.bits)
        used = (candidates.layer_ids >= 0) & self.space.quantizable_slots
        return np.concatenate([candidates.genomes, np.where(used, matches.argmax(axis=2), 0)], axis=1)

    def canonical(self, vectors: Ints) -> Ints:
        """Returns equal vectors for vectors that build the same candidate."""
        return self.encode(self.decode(vectors))

    def sample(self, n: int, rng: np.random.Generator) -> Ints:
        """Returns n canonical vectors, every position drawn uniformly.

        The share of each bitwidth is drawn for each vector first, so that networks that are nearly
        all of one bitwidth are as likely as even mixtures.
        """
        genes = self.space.sample_genomes(n, rng)
        if len(self.bits) == 1:
            return genes
        shares = rng.dirichlet(np.ones(len(self.bits)), size=n)
        drawn = (rng.random((n, len(self.space.slots), 1)) > shares.cumsum(axis=1)[:, None, :]).sum(axis=2)
        return self.canonical(np.concatenate([genes, np.minimum(drawn, len(self.bits) - 1)], axis=1))


def joined(parts: Sequence[Candidates]) -> Candidates:
    """Returns the distinct candidates of all parts, each at its first place."""
    every = Candidates.concatenate(parts)
    return every[every.first_of_each()]
