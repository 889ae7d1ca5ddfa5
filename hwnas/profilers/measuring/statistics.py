"""Summaries of timing samples: median with its interval, tail, outliers."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Standard deviations of a normal distribution in one median absolute deviation.
NORMAL_MAD = 1.4826
_Z_95 = 1.959964
_BATCHES = 10
# Student's t, 97.5 %, with 2 degrees of freedom and on; scipy would double the worker's memory.
_T_95 = (4.302653, 3.182446, 2.776445, 2.570582, 2.446912, 2.364624, 2.306004, 2.262157)
# With fewer loads Student's t says next to nothing.
_LOADS_LEAST = 3
# Batches of fewer samples than this say little of their median.
_BATCH_LEAST = 4


@dataclass(frozen=True)
class Summary:
    """What a run of samples says.

    Attributes:
        median_ms: over the samples that count.
        ci_low_ms, ci_high_ms: the 95 % confidence interval of that median.
        p95_ms: the 95th percentile, outliers included.
        outliers: how many samples were too slow for the median.
        left_out: the numbers of all samples that do not count in the median, ascending.
    """

    median_ms: float
    ci_low_ms: float
    ci_high_ms: float
    p95_ms: float
    outliers: int
    left_out: tuple[int, ...]

    @property
    def ci_percent(self) -> float:
        """The larger distance from the median to an end of its interval, in percent of the median."""
        widest = max(self.ci_high_ms - self.median_ms, self.median_ms - self.ci_low_ms)
        return 100 * widest / self.median_ms

    @property
    def tail_ratio(self) -> float:
        """The 95th percentile over the median."""
        return self.p95_ms / self.median_ms


def summary(
    samples_ms: Sequence[float] | NDArray[np.float64],
    outlier_deviations: float,
    disturbed: Collection[int] = (),
    loads: int = 1,
) -> Summary:
    """Returns the summary of samples in the order taken, all above zero.

    A sample is an outlier when it lies more than `outlier_deviations` robust standard deviations
    above the median: something else ran in its time. None is ever too fast. The samples numbered
    in `disturbed` are in none of the figures; at least one must be left. Sample n is of load
    n modulo `loads`.
    """
    samples = np.asarray(samples_ms, dtype=np.float64)
    calm = np.ones(len(samples), dtype=bool)
    calm[list(disturbed)] = False
    counts = calm.copy()
    counts[calm] = ~outliers(samples[calm], outlier_deviations)
    kept = samples[counts]
    low, high = _interval(kept, np.flatnonzero(counts) % loads)
    return Summary(
        median_ms=float(np.median(kept)),
        ci_low_ms=low,
        ci_high_ms=high,
        p95_ms=float(np.quantile(samples[calm], 0.95, method="higher")),
        outliers=int(calm.sum() - counts.sum()),
        left_out=tuple(np.flatnonzero(~counts).tolist()),
    )


def outliers(samples: NDArray[np.float64], deviations: float) -> NDArray[np.bool_]:
    """Returns which samples lie more than so many robust standard deviations above the median."""
    middle = np.median(samples)
    spread = NORMAL_MAD * np.median(np.abs(samples - middle))
    # A clock with coarse steps can give a spread of zero; 1 % is then taken for noise.
    return np.asarray(samples > middle + deviations * max(spread, 0.01 * middle))


def _interval(kept: NDArray[np.float64], loads: NDArray[np.int64]) -> tuple[float, float]:
    """The widest of three 95 % intervals of the median: by order statistics, by batches and by loads.

    Order statistics take samples for independent. On a machine whose speed changes every few
    hundred milliseconds they are not: the medians of consecutive batches then differ by more than
    their samples would suggest, and the interval follows them. Nor are those of one load.

    Source: Conover, Practical Nonparametric Statistics, 3.2 (normal approximation of the binomial);
    batch means as in Law, Simulation Modeling and Analysis, 9.5.3, here with medians.
    """
    n = len(kept)
    middle = float(np.median(kept))
    reach = _Z_95 * np.sqrt(n) / 2
    ordered = np.sort(kept)
    low = float(ordered[max(int(np.floor(n / 2 - reach)), 0)])
    high = float(ordered[min(int(np.ceil(n / 2 + reach)), n - 1)])
    if n >= _BATCHES * _BATCH_LEAST:
        half = _half_width([float(np.median(batch)) for batch in np.array_split(kept, _BATCHES)])
        low, high = min(low, middle - half), max(high, middle + half)
    present = [kept[loads == load] for load in np.unique(loads)]
    if len(present) >= _LOADS_LEAST and min(map(len, present)) >= _BATCH_LEAST:
        half = _half_width([float(np.median(load)) for load in present])
        low, high = min(low, middle - half), max(high, middle + half)
    return low, high


def _half_width(medians: list[float]) -> float:
    """Half of the 95 % interval of the mean of a few medians."""
    n = len(medians)
    # Beyond the table by Abramowitz and Stegun, 26.7.5, its first term.
    t_95 = _T_95[n - 3] if n - 3 < len(_T_95) else _Z_95 + (_Z_95**3 + _Z_95) / (4 * (n - 1))
    return float(t_95 * np.std(medians, ddof=1) / np.sqrt(n))
