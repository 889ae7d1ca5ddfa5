"""Time as physics sees it: launches, work and traffic, each at a price that a fit finds.

Prices are nonnegative, so that a dozen of them hold from five measurements on and extrapolate
sanely: more work never costs less.
"""

from dataclasses import dataclass

import numpy as np

from hwnas.predictors.features import TOTALS, Floats, moved_elements
from hwnas.spaces import FLOAT_BITS, Op

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


@dataclass(frozen=True, eq=False)
class Physics:
    """Prices of work, and the least that a prediction can be.

    Attributes:
        prices: float64 [len(PRICES)], in the metric's unit for one launch, one MAC, one byte.
        floor: in the metric's unit, above zero.
    """

    prices: Floats
    floor: float

    def predict(self, totals: Floats) -> Floats:
        """Returns the expected value [n], above zero, from `features.totals`."""
        expected: Floats = np.maximum(_priced(totals) @ self.prices, self.floor)
        return expected

    def of_ops(self, columns: Floats, weight_bits: int, activation_bits: int) -> Floats:
        """Returns what operations cost [m] at these bits; columns [m, 6] are those of `op_columns`."""
        start = 1 + len(_PRICED) * (min(weight_bits, activation_bits) < FLOAT_BITS)
        to_bytes = np.array([1, 1, 1, 1, activation_bits / 8, weight_bits / 8])
        costs: Floats = columns @ (to_bytes * self.prices[start : start + len(_PRICED)])
        return costs


def border_prices(physics: Physics) -> Floats:
    """Returns the prices of changes of bitwidth between neighbours: of a tensor and of an element."""
    return physics.prices[-2:]


def op_columns(op: Op) -> list[float]:
    """Returns the priced columns of one operation, elements standing where bytes will."""
    depthwise = op.kind == "depthwise"
    macs = [0, op.macs] if depthwise else [op.macs, 0]
    return [1, op.kind == "scale", *macs, moved_elements(op), op.weights]


def fit_physics(totals: Floats, values: Floats) -> Physics:
    """Returns the prices that fit measured values best in relative error, outliers weighed down.

    Where all measurements are in floating point (or all are quantized), the prices found stand
    for both kinds of work.
    """
    from scipy.optimize import nnls

    columns = _priced(totals)
    scale = columns.mean(axis=0)
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
    prices = np.zeros(len(PRICES))
    prices[seen] = found / scale[seen]
    return Physics(_filled(prices, seen), floor=float(values.min()) / 100)


def _filled(prices: Floats, seen: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Floats:
    plain, quantized = slice(1, 1 + len(_PRICED)), slice(1 + len(_PRICED), 1 + 2 * len(_PRICED))
    if not seen[quantized].any():
        prices[quantized] = prices[plain]
    elif not seen[plain].any():
        prices[plain] = prices[quantized]
    return prices


def _priced(totals: Floats) -> Floats:
    column = {name: totals[:, at] for at, name in enumerate(TOTALS)}
    rows = [np.ones(len(totals))]
    for ending in ("", "_quantized"):
        convolution = np.sum([column[name + ending] for name in _CONVOLUTION], axis=0)
        work = {**column, f"convolution{ending}": convolution}
        rows += [work[name + ending] for name in _PRICED]
    return np.stack([*rows, column["border_tensors"], column["border_elements"]], axis=1)
