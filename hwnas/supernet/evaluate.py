"""Accuracies of candidates cut out of a supernet, each recalibrated and under its own bits."""

import math
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from hwnas.data import Dataset
from hwnas.errors import InputError
from hwnas.spaces import Architecture, Candidates, Layer, Network
from hwnas.supernet.chain import channels_last
from hwnas.supernet.fold import to_network
from hwnas.supernet.images import SizedImages
from hwnas.supernet.model import Supernet
from hwnas.supernet.quantize import FoldedNetwork, with_ranges
from hwnas.supernet.recalibrate import recalibrate_in_place
from hwnas.supernet.subnet import Subnet

OnImages = Callable[[Tensor], Tensor]

CALIBRATE_IMAGES = 500
BATCH_SIZE = 50  # activations stay in a core's cache; larger batches are slower on CPUs
_CALIBRATE_BATCH_SIZE = 250
_RANGE_IMAGES = 256


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


@dataclass(frozen=True)
class Prepared:
    """A candidate ready to run.

    Attributes:
        network: folded weights and activation ranges: what devices build and files are written from.
        module: the same in torch, float images [N, 3, s, s] to logits, with every tensor quantized
            that the bits quantize.
    """

    network: Network
    module: FoldedNetwork

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The chain with its bits."""
        return self.network.layers


class Evaluator:
    """Evaluates candidates of one supernet on one data set; make one and reuse it.

    Images are resized once for each size and kept while they fit into a gigabyte.
    """

    def __init__(
        self,
        supernet: Supernet,
        dataset: Dataset,
        *,
        calibrate_images: int = CALIBRATE_IMAGES,
        batch_size: int = BATCH_SIZE,
        workers: int | None = None,
    ) -> None:
        """Takes the first `calibrate_images` of the calibrate split for statistics and ranges.

        `workers` candidates are evaluated at a time; None takes one a core.

        Raises:
            InputError: data and supernet differ in the number of classes, or no images.
        """
        if dataset.num_classes != supernet.space.num_classes:
            raise InputError(
                f"the supernet has {supernet.space.num_classes} classes, but the data set '{dataset.name}' "
                f"has {dataset.num_classes}; name the data it was trained on"
            )
        if min(calibrate_images, batch_size) < 1:
            raise InputError("calibrate_images and batch_size must be at least 1")
        self.supernet, self.dataset = supernet, dataset
        self._calibrate_images = calibrate_images
        self._batch_size = batch_size
        self._workers = workers or len(os.sched_getaffinity(0))
        self._images = SizedImages(dataset)

    def recalibrated(self, architecture: Architecture) -> Subnet:
        """Returns the static network of an architecture with statistics of its own; always the same.

        Raises:
            InputError: an architecture of another space, or an empty calibrate split.
        """
        subnet = channels_last(self.supernet.extract(architecture))
        return recalibrate_in_place(subnet, self._calibration(architecture["r"]))

    def prepare(self, candidates: Candidates, row: int) -> Prepared:
        """Returns one candidate, recalibrated, folded and quantized; always the same.

        Raises:
            InputError: a candidate of another space, or an empty calibrate split.
        """
        subnet = self.recalibrated(candidates[[row]].unpack()[0].architecture)
        layers = candidates.layers(row)
        images = self._calibration(layers[0].in_size_px)
        network = with_ranges(to_network(subnet, layers), images[: -(-_RANGE_IMAGES // len(images[0]))])
        return Prepared(network, FoldedNetwork(network).eval())

    def evaluate(
        self,
        candidates: Candidates,
        split: str = "validate",
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Evaluation]:
        """Returns the evaluation of each candidate, in order.

        Args:
            candidates: of the supernet's space.
            split: `validate` guides a search; `test` is for the report alone.
            progress: called with the numbers of candidates done and of all.

        Raises:
            InputError: candidates of another space, an unknown or empty split.
        """
        results = []
        for result in self.stream(candidates, split):
            results.append(result)
            if progress:
                progress(len(results), len(candidates))
        return results

    def stream(self, candidates: Candidates, split: str = "validate") -> Iterator[Evaluation]:
        """Yields the evaluations of candidates in order, each as soon as it and those before it are known.

        Candidates are shared out over the processor's cores, each on one thread of torch: small
        networks gain little from more threads, and on a busy machine threads that wait for each
        other lose a factor of ten. The figures do not depend on the number of cores.

        Raises:
            InputError: as `evaluate`.
        """
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            for size_px in {candidates.layers(row)[0].in_size_px for row in range(len(candidates))}:
                self._images.batches(split, size_px, self._batch_size)
                self._calibration(size_px)
            with ThreadPoolExecutor(max(1, min(self._workers, len(candidates)))) as pool:
                rows = [[row] for row in range(len(candidates))]
                yield from pool.map(lambda row: self._evaluated(candidates[row], split), rows)
        finally:
            torch.set_num_threads(threads)

    def _evaluated(self, one: Candidates, split: str) -> Evaluation:
        prepared = self.prepare(one, 0)
        correct, n = self.count_correct(prepared.module, prepared.layers[0].in_size_px, split)
        return Evaluation.of(one.ids[0], correct, n, split)

    def count_correct(self, logits_of: OnImages, size_px: int, split: str) -> tuple[int, int]:
        """Returns how many images of a split are named right, and how many there are.

        Args:
            logits_of: float images [N, 3, s, s], normalised, to logits [N, classes]: a module, or
                any other runtime behind a function.
            size_px: s.
            split: by name.

        Raises:
            InputError: an unknown or empty split.
        """
        correct = n = 0
        with torch.inference_mode():
            for x_NCHW, y_N in self._images.batches(split, size_px, self._batch_size):
                correct += int((logits_of(x_NCHW).argmax(1) == y_N).sum())
                n += len(y_N)
        if n == 0:
            raise InputError(f"the {split} split of '{self.dataset.name}' has no images to evaluate on")
        return correct, n

    def batches(self, split: str, size_px: int, limit: int | None = None) -> Iterable[tuple[Tensor, Tensor]]:
        """Returns batches (x [n, 3, s, s], y [n]) of the first `limit` images of a split, all where None."""
        return self._images.batches(split, size_px, self._batch_size, limit)

    def _calibration(self, size_px: int) -> list[Tensor]:
        batches = self._images.batches("calibrate", size_px, _CALIBRATE_BATCH_SIZE, self._calibrate_images)
        return [x_NCHW for x_NCHW, _ in batches]


def evaluate(
    supernet: Supernet,
    candidates: Candidates,
    dataset: Dataset,
    split: str = "validate",
    *,
    calibrate_images: int = CALIBRATE_IMAGES,
    batch_size: int = BATCH_SIZE,
    progress: Callable[[int, int], None] | None = None,
) -> list[Evaluation]:
    """Returns the evaluation of each candidate; see `Evaluator`, which keeps images between calls."""
    evaluator = Evaluator(supernet, dataset, calibrate_images=calibrate_images, batch_size=batch_size)
    return evaluator.evaluate(candidates, split, progress)


def prepare(
    supernet: Supernet,
    candidates: Candidates,
    row: int,
    dataset: Dataset,
    *,
    calibrate_images: int = CALIBRATE_IMAGES,
) -> Prepared:
    """Returns one candidate ready to run; see `Evaluator`, which keeps images between calls."""
    return Evaluator(supernet, dataset, calibrate_images=calibrate_images).prepare(candidates, row)
