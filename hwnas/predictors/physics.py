"""Time as physics sees it: launches, work and traffic, each at a price that a fit finds.

Prices are nonnegative, so that a dozen of them hold from five measurements on and extrapolate
sanely: more work never costs less.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwnas.predictors.features import TOTALS, Floats
from hwnas.spaces import FLOAT_BITS, Candidates, Op

_PRICED = ("launches", "se", "convolution", "depthwise", "activation_bytes", "weight_bytes")
PRICES = (
    "constant",
    *_PRICED,
    *(f"{name}_quantized" for name in _PRICED),
    "border_tensors",
    "border_elements",
)
_CONVOLUTION = ("pointwise", "dense", "vector")

# Student-t degrees of freedom and rounds of reweighting: real latencies have right tails.
_NU, _ROUNDS = 4.0, 10
# Keeps prices finite where columns move together, in units of the average column.
_RIDGE = 1e-3


class Expectation(ABC):
    """What is expected of candidates before a regressor corrects it."""

    @property
    @abstractmethod
    def operations(self) -> "Physics":
        """The prices of single operations."""

    @abstractmethod
    def expect(self, totals: Floats, candidates: Candidates) -> Floats:
        """Returns the expected value [n], above zero, from `features.totals` and the candidates."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Returns everything as JSON values."""


@dataclass(frozen=True, eq=False)
class Physics(Expectation):
    """Prices of work, and the least that a prediction can be.

    Attributes:
        prices: float64 [len(PRICES)], in the metric's unit for one launch, one MAC, one byte.
        floor: in the metric's unit, above zero.
    """

    prices: Floats
    floor: float

    @property
    def operations(self) -> "Physics":
        """Itself."""
        return self

    def expect(self, totals: Floats, candidates: Candidates) -> Floats:
        """Returns the expected value [n], above zero; the totals are enough."""
        return self.predict(totals)

    def predict(self, totals: Floats) -> Floats:
        """Returns the expected value [n], above zero, from `features.totals`."""
        expected: Floats = np.maximum(priced(totals) @ self.prices, self.floor)
        return expected

    def to_json(self) -> dict[str, Any]:
        """Returns the prices by name, and the floor."""
        return {"prices": dict(zip(PRICES, self.prices.tolist(), strict=True)), "floor": self.floor}

    @staticmethod
    def of_json(fields: dict[str, Any]) -> "Physics":
        """Returns the physics that `to_json` described; KeyError, TypeError or ValueError if malformed."""
        physics = Physics(prices_of_json(fields["prices"]), float(fields["floor"]))
        if not (np.isfinite(physics.floor) and physics.floor > 0):
            raise ValueError("the floor must be above zero")
        return physics

    def of_ops(self, columns: Floats, weight_bits: int, activation_bits: int) -> Floats:
        """Returns what operations cost [m] at these bits; columns [m, 6] are those of `op_columns`."""
        start = 1 + len(_PRICED) * (min(weight_bits, activation_bits) < FLOAT_BITS)
        to_bytes = np.array([1, 1, 1, 1, activation_bits / 8, weight_bits / 8])
        costs: Floats = columns @ (to_bytes * self.prices[start : start + len(_PRICED)])
        return costs


def prices_of_json(fields: dict[str, Any]) -> Floats:
    """Returns prices [len(PRICES)] by name; KeyError, TypeError or ValueError if malformed."""
    prices = np.array([fields[name] for name in PRICES], dtype=np.float64)
    if not np.isfinite(prices).all():
        raise ValueError("prices must be finite")
    return prices


def border_prices(physics: Physics) -> Floats:
    """Returns the prices of changes of bitwidth between neighbours: of a tensor and of an element."""
    return physics.prices[-2:]


def op_columns(op: Op) -> list[float]:
    """Returns the priced columns of one operation, elements standing where bytes will."""
    depthwise = op.kind == "depthwise"
    macs = [0, op.macs] if depthwise else [op.macs, 0]
    return [1, op.kind == "scale", *macs, op.map_elements, op.weights]


def fit_physics(totals: Floats, values: Floats) -> Physics:
    """Returns the prices that fit measured values best in relative error, outliers weighed down.

    Where all measurements are in floating point (or all are quantized), the prices found stand
    for both kinds of work.
    """
    columns = priced(totals)
    prices = nonnegative_prices(columns, values)
    return Physics(_filled(prices, columns.mean(axis=0) > 0), floor=float(values.min()) / 100)


def nonnegative_prices(columns: Floats, values: Floats, scale: Floats | None = None) -> Floats:
    """Returns prices [columns], at least 0, with which columns [n, columns] best sum up to values [n].

    Best in relative error, outliers weighed down; columns must not be below zero.

    Args:
        columns: [n, columns].
        values: [n], above zero.
        scale: [columns], what is typical of each column; None: its mean.
    """
    from scipy.optimize import nnls

    scale = columns.mean(axis=0) if scale is None else scale
    seen = scale > 0
    relative = columns[:, seen] / scale[seen] / values[:, None]
    weights = np.ones(len(values))
    ridge = _RIDGE * np.sqrt(len(values)) * relative.mean() * np.eye(int(seen.sum()))
    found = np.zeros(int(seen.sum()))
    for _ in range(_ROUNDS):
        root = np.sqrt(weights)
        left = np.concatenate([relative * root[:, None], ridge])
        found = nnls(left, np.concatenate([root, np.zeros(len(ridge))]))[0]
        residual = relative @ found - 1
        spread = 1.4826 * np.median(np.abs(residual)) + 1e-9
        weights = (_NU + 1) / (_NU + np.square(residual / spread))
    prices = np.zeros(len(scale))
    prices[seen] = found / scale[seen]
    return prices


def _filled(prices: Floats, seen: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Floats:
    plain, quantized = slice(1, 1 + len(_PRICED)), slice(1 + len(_PRICED), 1 + 2 * len(_PRICED))
    if not seen[quantized].any():
        prices[quantized] = prices[plain]
    elif not seen[plain].any():
        prices[plain] = prices[quantized]
    return prices


def priced(totals: Floats) -> Floats:
    """Returns the priced columns [n, len(PRICES)] of `features.totals`."""
    column = {name: totals[:, at] for at, name in enumerate(TOTALS)}
    rows = [np.ones(len(totals))]
    for ending in ("", "_quantized"):
        convolution = np.sum([column[name + ending] for name in _CONVOLUTION], axis=0)
        work = {**column, f"convolution{ending}": convolution}
        rows += [work[name + ending] for name in _PRICED]
    return np.stack([*rows, column["border_tensors"], column["border_elements"]], axis=1)
