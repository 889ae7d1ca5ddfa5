"""Launching and computing side by side: a device that computes faster than it is fed waits.

Where a processor of the host launches one operation after another while the device works on those
before, a network takes about the longer of the two times, not their sum: small networks take what
their launches take, and shrinking them further gains nothing.

Source: the roofline of Williams et al. (2009), with launches as one roof; the corner is rounded, a
p-norm instead of the maximum.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hwnas.predictors.features import Floats
from hwnas.predictors.physics import (
    PRICES,
    Expectation,
    Physics,
    nonnegative_prices,
    priced,
    prices_of_json,
)
from hwnas.spaces import Candidates

# How sharp the corner may be: 1 is the plain sum.
POWERS = (2.0, 4.0, 8.0)
_LAUNCHED = ("launches", "se", "launches_quantized", "se_quantized", "border_tensors")
_ROUNDS = 12
# A side that nothing depends on keeps a little say, so that it can come back.
_LEAST_SHARE = 0.01


@dataclass(frozen=True, eq=False)
class Overlapped(Expectation):
    """The p-norm of the time to launch and the time to compute.

    Attributes:
        own: the plain sum; single operations are priced by it.
        prices: float64 [2, len(PRICES)], of launching and of computing, at least 0.
        power: the p of the norm, above 1.
    """

    own: Physics
    prices: Floats
    power: float

    @property
    def operations(self) -> Physics:
        """The prices of single operations."""
        return self.own

    def expect(self, totals: Floats, candidates: Candidates) -> Floats:
        """Returns the expected value [n], above zero; the totals are enough."""
        sides = priced(totals) @ self.prices.T
        return np.asarray(np.maximum(_norm(sides, self.power), self.own.floor))

    def to_json(self) -> dict[str, Any]:
        """Returns the plain sum, both sides' prices by name, and the power."""
        launching, computing = (dict(zip(PRICES, side.tolist(), strict=True)) for side in self.prices)
        sides = {"launching": launching, "computing": computing}
        return {"own": self.own.to_json(), **sides, "power": self.power}

    @staticmethod
    def of_json(fields: dict[str, Any]) -> "Overlapped":
        """Returns what `to_json` described; KeyError, TypeError or ValueError if malformed."""
        prices = np.stack([prices_of_json(fields[name]) for name in ("launching", "computing")])
        power = float(fields["power"])
        if not 1 <= power <= 100:
            raise ValueError(f"the power must be from 1 to 100, but is {power}")
        return Overlapped(Physics.of_json(fields["own"]), prices, power)


def fit_overlapped(own: Physics, totals: Floats, values: Floats, power: float) -> Overlapped:
    """Returns the prices with which the p-norm of both sides fits values [n] best in relative error.

    The norm is a sum of both sides, each weighed by its share: prices and shares are found in turns.
    """
    columns = priced(totals)
    launched = np.isin(PRICES, _LAUNCHED)
    constant = np.arange(len(PRICES)) == 0
    masks = np.stack([launched | constant, ~launched]).astype(np.float64)
    scale = (columns.mean(axis=0) * masks).ravel()
    # To begin with, the sum's own sides, as if each were half as long again.
    prices = masks * own.prices * 1.3
    for _ in range(_ROUNDS):
        sides = np.maximum(columns @ prices.T, values[:, None] * 1e-3)
        shares = np.maximum((sides / _norm(sides, power)[:, None]) ** (power - 1), _LEAST_SHARE)
        both = np.concatenate(
            [columns * masks[0] * shares[:, :1], columns * masks[1] * shares[:, 1:]], axis=1
        )
        prices = 0.5 * prices + 0.5 * nonnegative_prices(both, values, scale).reshape(2, -1)
    return Overlapped(own, prices, power)


def _norm(sides: Floats, power: float) -> Floats:
    largest = np.maximum(sides.max(axis=1), 1e-300)
    norm: Floats = largest * ((sides / largest[:, None]) ** power).sum(axis=1) ** (1 / power)
    return norm
