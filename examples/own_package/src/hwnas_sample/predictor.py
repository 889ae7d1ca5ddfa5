"""A predictor of one's own: `hwnas fit --model sample-ridge`; one weight for each choice of each gene."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from hwnas import Candidates, Regressor, Space

PENALTY = 0.1


class SampleRidge(Regressor):
    """Ridge regression on choices and on the mean bits of weights and activations."""

    def __init__(self, weights: np.ndarray, base: float) -> None:
        self.weights = weights
        self.base = base

    @staticmethod
    def fit(candidates: Candidates, targets: np.ndarray, seed: int) -> "SampleRidge":
        """Returns the weights of least squared error, with a penalty on large ones."""
        rows, base = columns(candidates), float(targets.mean())
        gram = rows.T @ rows + PENALTY * np.eye(rows.shape[1])
        return SampleRidge(np.linalg.solve(gram, rows.T @ (targets - base)), base)

    def mean(self, candidates: Candidates) -> np.ndarray:
        """Returns the expected target of each candidate."""
        return self.base + columns(candidates) @ self.weights

    def to_json(self) -> dict[str, Any]:
        """Returns the weights as a list."""
        return {"weights": self.weights.tolist(), "base": self.base}

    @staticmethod
    def of_json(fields: Mapping[str, Any], space: Space) -> "SampleRidge":
        """Returns what `to_json` described."""
        weights = np.array(fields["weights"], dtype=np.float64)
        if weights.shape != (int(space.choice_counts.sum()) + 2,):
            raise ValueError("there must be a weight for each choice, and two for bits")
        return SampleRidge(weights, float(fields["base"]))


def columns(candidates: Candidates) -> np.ndarray:
    """Returns a column of 0 and 1 for each choice, and the mean bits over 32, [n, columns]."""
    counts = candidates.space.choice_counts
    chosen = [np.arange(count) == candidates.genomes[:, [gene]] for gene, count in enumerate(counts)]
    bits = [
        bits.mean(axis=1, keepdims=True) / 32 for bits in (candidates.weight_bits, candidates.activation_bits)
    ]
    return np.concatenate([*chosen, *bits], axis=1).astype(np.float64)
