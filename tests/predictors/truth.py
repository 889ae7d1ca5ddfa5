"""Devices and accuracies that exist on paper only, and the public measurements where they are."""

import os
from pathlib import Path

import numpy as np
import pytest

from hwnas.predictors.features import Floats, quantized_slots
from hwnas.spaces import Candidates, Op, Space

REPOSITORY = Path(__file__).parents[2]


def drawn(space: Space, n: int, seed: int, mixed: bool = False) -> Candidates:
    """Returns n random candidates; mixed ones have 8 or 32 bits in each layer."""
    rng = np.random.default_rng(seed)
    genomes = space.sample_genomes(n, rng)
    if not mixed:
        return Candidates.of_genomes(space, genomes)
    bits = np.where(rng.random((n, len(space.slots))) < rng.random((n, 1)), 8, 32)
    return Candidates.of_genomes(space, genomes, bits, bits)


def true_latency_ms(candidates: Candidates, seed: int, noise: float = 0.01) -> Floats:
    """Returns latencies of a roofline device whose every kernel is off by a factor of its own."""
    space, rng = candidates.space, np.random.default_rng(seed)
    factors: dict[tuple[object, ...], float] = {}

    def op_ms(op: Op, quantized: bool) -> float:
        kernel = (op.kind, op.in_channels, op.out_channels, op.in_size_px, op.kernel, op.stride, quantized)
        factor = factors.setdefault(kernel, float(np.exp(0.25 * rng.standard_normal())))
        macs_a_ms = 60e6 * (2.2 if quantized else 1) * (0.25 if op.kind == "depthwise" else 1)
        elements = op.in_channels * op.in_size_px**2 + op.out_channels * op.out_size_px**2 + op.weights
        traffic_ms = elements * (1 if quantized else 4) / 30e6
        return max(op.macs / macs_a_ms, traffic_ms) * factor + (1.6e-3 if quantized else 1e-3)

    table = np.array(
        [[sum(op_ms(op, q) for op in layer.ops) for q in (False, True)] for layer in space.vocabulary]
        + [[0.0, 0.0]]
    )
    total = table[candidates.layer_ids, quantized_slots(candidates).astype(int)].sum(axis=1)
    return np.asarray((0.004 + total) * np.exp(noise * rng.standard_normal(len(candidates))))


def true_accuracy(candidates: Candidates, seed: int, noise: float = 0.0) -> Floats:
    """Returns accuracies in percent: additive in every choice, then saturating at 97."""
    space, rng = candidates.space, np.random.default_rng(seed)
    worth = np.sort(rng.random((len(space.genes), int(space.choice_counts.max()))) * 0.25, axis=1)
    active = space.active_genes(candidates.genomes)
    gained = (worth[np.arange(len(space.genes)), candidates.genomes] * active).sum(axis=1)
    lost = 0.02 * quantized_slots(candidates).sum(axis=1)
    return np.asarray(97 - 12 * np.exp(lost - gained) + noise * rng.standard_normal(len(candidates)))


def public(name: str) -> Path:
    """Returns a file of public measurements; skips the test where there is none."""
    folder = Path(os.environ.get("HWNAS_REFERENCE_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / name).exists():
        pytest.skip(f"no public measurements at {folder / name}; HWNAS_REFERENCE_DATA names their folder")
    return folder / name
