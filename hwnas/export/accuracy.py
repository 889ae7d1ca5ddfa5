"""Accuracy as a count of images that are named right, with what the count is worth."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Batches = Iterable[tuple[NDArray[np.float32], NDArray[np.int64]]]

_Z_95 = 1.959964


@dataclass(frozen=True)
class Accuracy:
    """So many of n images named right, n above 0."""

    correct: int
    n: int

    @property
    def percent(self) -> float:
        """The share in percent."""
        return 100 * self.correct / self.n

    @property
    def interval_percent(self) -> tuple[float, float]:
        """The 95 % interval for the choice of images, in percent.

        Source: Wilson (1927), the score interval of a binomial share.
        """
        share, weight = self.correct / self.n, _Z_95**2 / self.n
        middle = (share + weight / 2) / (1 + weight)
        reach = math.sqrt(weight * share * (1 - share) + weight**2 / 4) / (1 + weight)
        return 100 * max(middle - reach, 0.0), 100 * min(middle + reach, 1.0)

    def figure(self, split: str) -> dict[str, str | float | int]:
        """Returns the figure as files hold it: value, kind, split, low, high, n."""
        low, high = self.interval_percent
        figures = {"value": self.percent, "low": low, "high": high}
        rounded = {name: round(value, 4) for name, value in figures.items()}
        return {**rounded, "kind": "measured", "split": split, "n": self.n}


def accuracy(logits_of: Callable[[NDArray[np.float32]], NDArray[np.float32]], batches: Batches) -> Accuracy:
    """Returns how many images a model names right.

    Args:
        logits_of: float32 images [n, 3, side, side] to logits [n, classes].
        batches: pairs of images and int64 labels [n]; at least one image in all.
    """
    correct = n = 0
    for images, labels in batches:
        correct += int((logits_of(images).argmax(axis=1) == labels).sum())
        n += len(labels)
    return Accuracy(correct, n)
