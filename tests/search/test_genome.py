"""Genomes of the search: canonical, reversible, balanced."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.search.genome import Genome
from hwnas.search.sample import first_sample, floats_first, scaled_architectures
from hwnas.spaces import get_space

SPACE = get_space("demo")


@pytest.mark.parametrize("bits", [(32,), (32, 8), (8,), (32, 8, 4), ((8, 8), (4, 8), (8, 4), (4, 4))])
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**32 - 1))
def test_vectors_and_candidates_translate_back(bits: tuple[int, ...], seed: int) -> None:
    genome = Genome(SPACE, bits)
    raw = np.random.default_rng(seed).integers(0, genome.choice_counts, size=(8, len(genome.choice_counts)))
    canonical = genome.canonical(raw)
    np.testing.assert_array_equal(genome.canonical(canonical), canonical)
    assert genome.decode(raw).ids == genome.decode(canonical).ids
    equal_ids = {key: row.tobytes() for key, row in zip(genome.decode(raw).ids, canonical, strict=True)}
    assert len(set(equal_ids.values())) == len(equal_ids)


def test_samples_hold_networks_of_nearly_one_bitwidth_and_mixtures() -> None:
    genome = Genome(SPACE, (32, 8))
    candidates = genome.decode(genome.sample(400, np.random.default_rng(0)))
    used = (candidates.layer_ids >= 0) & SPACE.quantizable_slots
    share = ((candidates.weight_bits == 8) & used).sum(axis=1) / used.sum(axis=1)
    counts = np.histogram(share, bins=[0, 0.2, 0.4, 0.6, 0.8, 1.01])[0]
    assert counts.min() > 40


def test_first_samples_begin_with_extremes_and_compound_scaling_and_balance_the_bits() -> None:
    sample, baselines = first_sample(SPACE, (32, 8), 60, np.random.default_rng(0))
    assert len(sample) == 60
    assert len(sample.first_of_each()) == 60
    ends = [SPACE.smallest(), SPACE.largest()]
    assert [one.architecture for one in sample[:2].unpack()] == ends
    assert set(baselines["compound_scaled"].ids) <= set(sample[:14].ids)
    random_ids = set(baselines["random"].ids)
    mixed = [
        (one.weight_bits < 32).any()
        for one in (sample[[row]] for row in range(60))
        if one.ids[0] in random_ids
    ]
    assert 0.35 < np.mean(mixed) < 0.65


def test_scaled_architectures_run_from_the_smallest_up() -> None:
    scaled = scaled_architectures(SPACE)
    assert scaled[0] == SPACE.smallest()
    assert 4 <= len(scaled) <= 8
    assert len(set(scaled)) == len(scaled)


def test_floating_point_comes_first() -> None:
    assert floats_first([8, 4, 32, 8]) == (32, 8, 4)
