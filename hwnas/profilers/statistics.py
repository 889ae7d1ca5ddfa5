"""Summaries of timing samples: median with its interval, tail, outliers, and a verdict."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Standard deviations of a normal distribution in one median absolute deviation.
_NORMAL_MAD = 1.4826
_Z_95 = 1.959964


@dataclass(frozen=True)
class Summary:
    """What a run of samples says.

    Attributes:
        median_ms: over the samples that are not outliers.
        ci_low_ms, ci_high_ms: the 95 % confidence interval of that median.
        p95_ms: the 95th percentile over all samples.
        outliers: how many samples were left out of the median.
    """

    median_ms: float
    ci_low_ms: float
    ci_high_ms: float
    p95_ms: float
    outliers: int

    @property
    def ci_percent(self) -> float:
        """The larger distance from the median to an end of its interval, in percent of the median."""
        widest = max(self.ci_high_ms - self.median_ms, self.median_ms - self.ci_low_ms)
        return 100 * widest / self.median_ms

    @property
    def tail_ratio(self) -> float:
        """The 95th percentile over the median."""
        return self.p95_ms / self.median_ms


def summary(samples_ms: Sequence[float], outlier_deviations: float) -> Summary:
    """Returns the summary of at least one sample, all above zero.

    A sample is an outlier when it lies more than `outlier_deviations` robust standard deviations
    above the median: something else ran in its time. None is ever too fast.
    """
    samples = np.asarray(samples_ms, dtype=np.float64)
    kept = np.sort(samples[~outliers(samples, outlier_deviations)])
    low, high = _median_ranks(len(kept))
    return Summary(
        median_ms=float(np.median(kept)),
        ci_low_ms=float(kept[low]),
        ci_high_ms=float(kept[high]),
        p95_ms=float(np.quantile(samples, 0.95, method="higher")),
        outliers=len(samples) - len(kept),
    )


def outliers(samples: NDArray[np.float64], deviations: float) -> NDArray[np.bool_]:
    """Returns which samples lie more than so many robust standard deviations above the median."""
    middle = np.median(samples)
    spread = _NORMAL_MAD * np.median(np.abs(samples - middle))
    # A clock with coarse steps can give a spread of zero; 1 % is then taken for noise.
    return np.asarray(samples > middle + deviations * max(spread, 0.01 * middle))


def _median_ranks(n: int) -> tuple[int, int]:
    """The order statistics, from 0, that enclose the median with 95 % probability.

    Source: Conover, Practical Nonparametric Statistics, 3.2 (normal approximation of the
    binomial); the samples must be exchangeable, which interleaving over time makes them.
    """
    reach = _Z_95 * np.sqrt(n) / 2
    low = int(np.floor(n / 2 - reach))
    high = int(np.ceil(n / 2 + reach))
    return max(low, 0), min(high, n - 1)
