"""The search's genome: the genes of an architecture, then those of its bitwidth policy."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwnas.spaces import BitGenes, BitRule, Candidates, Pair, Space, alike

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Genome:
    """Turns integer vectors into candidates and back.

    A vector has one choice index for each gene of the space, then the positions of `BitGenes`: where
    the device runs more than one pair of weight and activation bits, one or two for each group of
    layers that choose together.

    Attributes:
        bits: what to choose from: bitwidths for weights and activations alike, such as (32, 8), or
            pairs of them, such as ((8, 8), (4, 8)).
        rule: which layers choose together; None takes the space's own rule.
    """

    space: Space
    bits: tuple[int, ...] | tuple[Pair, ...]
    rule: BitRule | None = None

    @cached_property
    def bit_genes(self) -> BitGenes:
        """The genes of the policy."""
        widths = [one for one in self.bits if isinstance(one, int)]
        pairs = [one for one in self.bits if not isinstance(one, int)]
        return BitGenes.of(self.space, pairs or alike(widths), self.rule)

    @cached_property
    def choice_counts(self) -> Ints:
        """The number of choices at each position of a vector."""
        return np.concatenate([self.space.choice_counts, self.bit_genes.choice_counts])

    def decode(self, vectors: Ints) -> Candidates:
        """Returns the candidates of vectors [n, length]."""
        num_genes = len(self.space.genes)
        policies = self.bit_genes.decode(vectors[:, num_genes:])
        return Candidates.of_genomes(self.space, vectors[:, :num_genes], *policies)

    def encode(self, candidates: Candidates) -> Ints:
        """Returns the canonical vectors [n, length]; bits that are no choice here take the first."""
        return np.concatenate([candidates.genomes, self.bit_genes.encode(candidates)], axis=1)

    def canonical(self, vectors: Ints) -> Ints:
        """Returns equal vectors for vectors that build the same candidate."""
        return self.encode(self.decode(vectors))

    def sample(self, n: int, rng: np.random.Generator) -> Ints:
        """Returns n canonical vectors: genes drawn uniformly, policies as `BitGenes.sample` draws them."""
        genes = self.space.sample_genomes(n, rng)
        return self.encode(Candidates.of_genomes(self.space, genes, *self.bit_genes.sample(n, rng)))


def cheapest_and_random(genome: Genome, n: int, rng: np.random.Generator) -> Candidates:
    """Returns the smallest architecture at the first and at the last bits, and n random candidates."""
    num_genes, counts = len(genome.space.genes), genome.choice_counts
    ends = np.zeros((2, len(counts)), dtype=np.int64)
    ends[1, num_genes:] = counts[num_genes:] - 1
    return genome.decode(np.concatenate([genome.canonical(ends), genome.sample(n, rng)]))


def joined(parts: Sequence[Candidates]) -> Candidates:
    """Returns the distinct candidates of all parts, each at its first place."""
    every = Candidates.concatenate(parts)
    return every[every.first_of_each()]
