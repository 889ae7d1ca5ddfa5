"""Candidates that a student learns from, and those it is tried on."""

from collections.abc import Sequence

import numpy as np

from hwnas.predictors.gaussian import GaussianProcess
from hwnas.predictors.predictor import FittedPredictor
from hwnas.spaces import Candidates, Space

_SAMPLES = 20_000


def drawn(space: Space, n: int, rng: np.random.Generator, bits: Sequence[int]) -> Candidates:
    """Candidates from all over the space: each leans towards small or large choices as it likes."""
    lean = np.exp(rng.normal(0.0, 0.8, (n, 1)))
    share = rng.random((n, len(space.genes))) ** lean
    genomes = np.minimum((share * space.choice_counts).astype(np.int64), space.choice_counts - 1)
    chosen = np.array(list(bits), dtype=np.int64)
    # Most layers of most candidates have the same bits, some have them in equal parts.
    ends = np.cumsum(rng.dirichlet(np.full(len(chosen), 0.3), (2, n)), axis=2)
    own = (rng.random((2, n, len(space.slots), 1)) > ends[:, :, None, :-1]).sum(axis=3)
    return Candidates.of_genomes(space, genomes, *chosen[own])


def lessons(some: tuple[FittedPredictor, ...], rng: np.random.Generator, bits: Sequence[int]) -> Candidates:
    """Candidates to learn from: half from all over the space, half near those that predictors know."""
    fresh = drawn(some[0].space, _SAMPLES, rng, bits)
    known = [
        one.regressor.design.training.candidates.genomes
        for one in some
        if isinstance(one.regressor, GaussianProcess)
    ]
    if not known:
        return fresh
    near = np.concatenate(known)
    near = near[rng.integers(0, len(near), _SAMPLES)]
    # From none to most genes are changed; every second candidate keeps nothing.
    changed = rng.random(near.shape) < rng.random((_SAMPLES, 1)) ** 2
    changed[::2] = True
    genomes = np.where(changed, fresh.genomes, near)
    return Candidates.of_genomes(fresh.space, genomes, fresh.weight_bits, fresh.activation_bits)
