"""Transfer: what is expected on a new device, from predictors of devices that are known already.

The latency of a network on a new device is near to a sum of its latencies on known devices and of
its work, each at a price that is not below zero: ten measurements are enough to find the prices.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from hwnas.predictors.bases import Inputs
from hwnas.predictors.features import Floats
from hwnas.predictors.physics import PRICES, Expectation, Physics, nonnegative_prices, priced, prices_of_json
from hwnas.spaces import Candidates


class Source(Protocol):
    """A predictor of another device."""

    def mean(self, candidates: Candidates) -> Floats:
        """Returns the predicted values [n]."""

    def to_json(self) -> dict[str, Any]:
        """Returns everything as JSON values."""


@dataclass(frozen=True, eq=False)
class Transferred(Expectation):
    """A priced sum of other devices' predictions and of work.

    Attributes:
        own: prices of work found on the new device alone; single operations are priced by it.
        sources: the other devices' predictors; weights: float64 [sources], at least 0.
        prices: float64 [len(PRICES)], of the work that sources leave over, at least 0.
    """

    own: Physics
    sources: Sequence[Source]
    weights: Floats
    prices: Floats

    @property
    def operations(self) -> Physics:
        """The prices of single operations."""
        return self.own

    def expect(self, totals: Floats, candidates: Candidates) -> Floats:
        """Returns the expected value [n], above zero."""
        known = np.stack([source.mean(candidates) for source in self.sources], axis=1)
        expected: Floats = np.maximum(known @ self.weights + priced(totals) @ self.prices, self.own.floor)
        return expected

    def to_json(self) -> dict[str, Any]:
        """Returns the prices and, whole, the other devices' predictors."""
        return {
            "own": self.own.to_json(),
            "sources": [source.to_json() for source in self.sources],
            "weights": self.weights.tolist(),
            "prices": dict(zip(PRICES, self.prices.tolist(), strict=True)),
        }

    @staticmethod
    def of_json(fields: dict[str, Any], sources: Sequence[Source]) -> "Transferred":
        """Returns what `to_json` described; KeyError, TypeError or ValueError if malformed."""
        weights = np.array(fields["weights"], dtype=np.float64)
        if weights.shape != (len(sources),) or not np.isfinite(weights).all():
            raise ValueError("there must be one finite weight for each source")
        own, prices = Physics.of_json(fields["own"]), prices_of_json(fields["prices"])
        return Transferred(own, tuple(sources), weights, prices)


def fit_sources(own: Physics, inputs: Inputs, values: Floats, sources: Sequence[Source]) -> Transferred:
    """Returns the prices that fit measured values [n] best in relative error, outliers weighed down."""
    known = np.stack([source.mean(inputs.candidates) for source in sources], axis=1)
    found = nonnegative_prices(np.concatenate([known, priced(inputs.totals)], axis=1), values)
    return Transferred(own, tuple(sources), found[: len(sources)], found[len(sources) :])
