"""The candidates a search starts from, and the obvious ones it must beat."""

from collections.abc import Mapping, Sequence

import numpy as np

from hwnas.search.genome import Genome, joined
from hwnas.spaces import FLOAT_BITS, Architecture, Candidates, Pair, Space, compound_scaled


def first_sample(
    space: Space, bits: Sequence[int] | Sequence[Pair], num_candidates: int, rng: np.random.Generator
) -> tuple[Candidates, Mapping[str, Candidates]]:
    """Returns distinct candidates to begin with, and those of them that serve as baselines.

    Extremes and compound-scaled networks come first. Then random ones, in turn of one bitwidth
    throughout and of mixed bitwidths, so that every first part of the sample is balanced.

    Args:
        bits: all bitwidths that any device is searched with, or pairs of weight and activation bits,
            the widest first.
        num_candidates: at least the extremes and scaled ones are returned.

    Returns:
        The sample, and `random` and `compound_scaled` baselines.
    """
    pairs = [(one, one) if isinstance(one, int) else one for one in bits]
    genome = Genome(space, tuple(pairs))
    ends = [space.smallest(), space.largest()]
    scaled = _at(genome, Candidates.of_architectures(space, scaled_architectures(space)), pairs[0])
    anchors = [_at(genome, Candidates.of_architectures(space, ends), pair) for pair in (pairs[0], pairs[-1])]
    drawn = space.sample_genomes(num_candidates, rng)
    plain = _at(genome, Candidates.of_genomes(space, drawn), pairs[0])
    mixed = genome.decode(genome.sample(num_candidates, rng)) if len(pairs) > 1 else plain
    alternating = np.arange(2 * num_candidates).reshape(2, -1).T.ravel()
    randoms = joined([Candidates.concatenate([plain, mixed])[alternating]])
    sample = joined([*anchors, scaled, randoms])
    return sample[: max(num_candidates, len(joined([*anchors, scaled])))], {
        "random": randoms,
        "compound_scaled": scaled,
    }


def _at(genome: Genome, candidates: Candidates, pair: Pair) -> Candidates:
    """The candidates with this pair in every layer that the rule of the space leaves free."""
    alike = Candidates.of_genomes(candidates.space, candidates.genomes, *pair)
    return genome.decode(genome.encode(alike))


def scaled_architectures(space: Space, most: int = 8) -> list[Architecture]:
    """Returns up to `most` distinct compound-scaled architectures, spread from smallest to largest."""
    distinct = list(dict.fromkeys(compound_scaled(space, np.linspace(0, 16, 200))))
    picked = np.unique(np.linspace(0, len(distinct) - 1, min(most, len(distinct))).round().astype(int))
    return [distinct[row] for row in picked]


def floats_first(bits: Sequence[int]) -> tuple[int, ...]:
    """Returns distinct bitwidths, floating point first, then descending."""
    return tuple(sorted(set(bits), key=lambda b: (b != FLOAT_BITS, -b)))


def pairs_of(every: Sequence[Sequence[Pair]]) -> tuple[Pair, ...]:
    """Returns the distinct pairs of all devices, the widest first."""
    return tuple(sorted({pair for pairs in every for pair in pairs}, reverse=True))
