"""What an evaluation says of a candidate, and the knobs it was made with."""

import math
from dataclasses import dataclass

from hwnas.errors import InputError

CALIBRATE_IMAGES = 500
BATCH_SIZE = 50  # activations stay in a core's cache; larger batches are slower on CPUs


@dataclass(frozen=True)
class Evaluation:
    """How many images of a split a candidate names right.

    Attributes:
        id: of the candidate.
        accuracy_top1: percent.
        standard_error: of the accuracy, in points; binomial.
        n: number of images.
        split: which images.
    """

    id: str
    accuracy_top1: float
    standard_error: float
    n: int
    split: str

    @staticmethod
    def of(id: str, correct: int, n: int, split: str) -> "Evaluation":
        """Returns the evaluation for `correct` of `n` images, n above 0."""
        share = correct / n
        return Evaluation(id, 100 * share, 100 * math.sqrt(share * (1 - share) / n), n, split)


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings:
    """How candidates are evaluated.

    Attributes:
        calibrate_images: the first so many of the calibrate split set statistics and ranges.
        images: so many images of a split are evaluated on, the first; None is all.
        batch_size: images at a time; changes no figure beyond rounding.
        torch_device: where networks run: `cpu`, `cuda`, `cuda:1`.
    """

    calibrate_images: int = CALIBRATE_IMAGES
    images: int | None = None
    batch_size: int = BATCH_SIZE
    torch_device: str = "cpu"

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            InputError: a number below 1.
        """
        if min(self.calibrate_images, self.batch_size, 1 if self.images is None else self.images) < 1:
            raise InputError("calibrate_images, images and batch_size must be at least 1")
