"""Accuracies of candidates cut out of a supernet, each recalibrated and under its own bits."""

import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass

import torch
from torch import Tensor

from hwnas.data import Dataset
from hwnas.errors import InputError
from hwnas.profilers.machine.processor import cores_here
from hwnas.progress import Stopped, following
from hwnas.spaces import Architecture, BitwidthPolicy, Candidates, Layer, Network
from hwnas.supernet.calibrate import calibrated
from hwnas.supernet.chain import channels_last
from hwnas.supernet.evaluation.images import SizedImages
from hwnas.supernet.evaluation.networks import KeptNetworks
from hwnas.supernet.evaluation.settings import BATCH_SIZE, CALIBRATE_IMAGES, EvaluateSettings, Evaluation
from hwnas.supernet.model import Supernet
from hwnas.supernet.quantize import FoldedNetwork
from hwnas.supernet.recalibrate import recalibrate_in_place
from hwnas.supernet.subnet import Subnet
from hwnas.supernet.torch_device import usable_torch_device

OnImages = Callable[[Tensor], Tensor]

_CALIBRATE_BATCH_SIZE = 50


@dataclass(frozen=True)
class Prepared:
    """A candidate ready to run.

    Attributes:
        network: folded weights and activation ranges: what devices build and files are written from.
        module: the same in torch, float images [N, 3, s, s] to logits, with every tensor quantized
            that the bits quantize; on the evaluator's torch device.
    """

    network: Network
    module: FoldedNetwork

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The chain with its bits."""
        return self.network.layers


class Evaluator:
    """Evaluates candidates of one supernet on one data set; make one and reuse it.

    Images are resized once for each size and kept while there is room; so are calibrated networks,
    which a search evaluates, exports and compares one after the other.

    Attributes:
        supernet: whose subnets are evaluated; it stays on the CPU.
        dataset: the images.
        settings: how.
    """

    def __init__(
        self,
        supernet: Supernet,
        dataset: Dataset,
        *,
        calibrate_images: int = CALIBRATE_IMAGES,
        images: int | None = None,
        batch_size: int = BATCH_SIZE,
        torch_device: str = "cpu",
        workers: int | None = None,
        keep_bytes: int | None = None,
    ) -> None:
        """Takes the fields of `EvaluateSettings` and what changes no figure.

        `workers` candidates are evaluated at a time; None takes one a core, or one on a GPU.
        Resized images are kept up to `keep_bytes`; None is as `SizedImages` has it.

        Raises:
            InputError: data and supernet differ in the number of classes, no images, or a torch
                device that is not usable here.
        """
        if dataset.num_classes != supernet.space.num_classes:
            raise InputError(
                f"the supernet has {supernet.space.num_classes} classes, but the data set '{dataset.name}' "
                f"has {dataset.num_classes}; name the data it was trained on"
            )
        self.supernet, self.dataset = supernet, dataset
        self.settings = EvaluateSettings(
            calibrate_images=calibrate_images,
            images=images,
            batch_size=batch_size,
            torch_device=usable_torch_device(torch_device),
        )
        on_cpu = torch.device(self.settings.torch_device).type == "cpu"
        self._workers = workers or (len(cores_here()) if on_cpu else 1)
        self._images = SizedImages(dataset, keep_bytes, self.settings.torch_device)
        self._networks = KeptNetworks()

    def recalibrated(self, architecture: Architecture) -> Subnet:
        """Returns the static network of an architecture with statistics of its own; always the same.

        It is on the torch device.

        Raises:
            InputError: an architecture of another space, or an empty calibrate split.
        """
        return recalibrate_in_place(self._extracted(architecture), self._calibration(architecture["r"]))

    def _extracted(self, architecture: Architecture, bits: BitwidthPolicy | None = None) -> Subnet:
        return channels_last(self.supernet.extract(architecture, bits)).to(self.settings.torch_device)

    def prepare(self, candidates: Candidates, row: int) -> Prepared:
        """Returns one candidate, calibrated under its own bits, folded and quantized; always the same.

        Raises:
            InputError: a candidate of another space, or an empty calibrate split.
        """
        one = candidates[[row]]
        network = self._networks.get(one.ids[0]) or self._calibrated(one)
        return Prepared(network, FoldedNetwork(network).eval().to(self.settings.torch_device))

    def _calibrated(self, one: Candidates) -> Network:
        (candidate,) = one.unpack()
        subnet = self._extracted(candidate.architecture, candidate.bits)
        layers = one.layers(0)
        network = calibrated(subnet, layers, self._calibration(layers[0].in_size_px))
        self._networks.keep(one.ids[0], network)
        return network

    def evaluate(self, candidates: Candidates, split: str = "validate") -> list[Evaluation]:
        """Returns the evaluation of each candidate, in order.

        Args:
            candidates: of the supernet's space.
            split: `validate` guides a search; `test` is for the report alone.

        Raises:
            InputError: candidates of another space, an unknown or empty split.
        """
        return list(self.stream(candidates, split))

    def stream(self, candidates: Candidates, split: str = "validate") -> Generator[Evaluation, None, None]:
        """Yields the evaluations of candidates in order, each as soon as it and those before it are known.

        Raises:
            InputError: as `evaluate`.
        """
        early: dict[int, Evaluation] = {}
        given = 0
        asked: list[Stopped] = []
        with closing(self.completed(candidates, split)) as completed:
            for row, evaluation in following(completed, asked):
                early[row] = evaluation
                while given in early:
                    try:
                        yield early.pop(given)
                    except Stopped as wish:
                        asked.append(wish)
                    given += 1

    def completed(
        self, candidates: Candidates, split: str = "validate"
    ) -> Generator[tuple[int, Evaluation], None, None]:
        """Yields row numbers with evaluations, each as soon as it is known.

        Candidates are shared out over the processor's cores, each on one thread of torch: small
        networks gain little from more threads, and on a busy machine threads that wait for each
        other lose a factor of ten. The figures do not depend on the number of cores. Closing the
        generator ends the work after the batches at hand; throwing Stopped into it, after the
        candidates at hand, which it still yields.

        Raises:
            InputError: as `evaluate`.
        """
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        stop = threading.Event()
        pool = ThreadPoolExecutor(max(1, min(self._workers, len(candidates))))
        try:
            rows = {
                pool.submit(self.evaluate_one, candidates[[row]], split, stop): row
                for row in range(len(candidates))
            }
            stopped: Stopped | None = None
            for done in as_completed(rows):
                if done.cancelled():
                    continue
                try:
                    yield rows[done], done.result()
                except Stopped as wish:
                    stopped = wish
                    for waiting in rows:
                        waiting.cancel()
            if stopped:
                raise stopped
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(threads)

    def evaluate_one(
        self, one: Candidates, split: str = "validate", stop: threading.Event | None = None
    ) -> Evaluation:
        """Returns the evaluation of a single candidate, in the calling thread.

        Raises:
            InputError: as `evaluate`.
            CancelledError: another thread set `stop`.
        """
        prepared = self.prepare(one, 0)
        correct, n = self.count_correct(prepared.module, prepared.layers[0].in_size_px, split, stop)
        return Evaluation.of(one.ids[0], correct, n, split)

    def num_images(self, split: str) -> int:
        """Returns how many images of a split candidates are evaluated on.

        Raises:
            InputError: an unknown split.
        """
        available = len(self.dataset.split(split))
        return available if self.settings.images is None else min(self.settings.images, available)

    def count_correct(
        self, logits_of: OnImages, size_px: int, split: str, stop: threading.Event | None = None
    ) -> tuple[int, int]:
        """Returns how many images of a split are named right, and how many there are.

        Args:
            logits_of: float images [N, 3, s, s], normalised, to logits [N, classes]: a module, or
                any other runtime behind a function.
            size_px: s.
            split: by name.
            stop: where another thread sets it, counting ends.

        Raises:
            InputError: an unknown or empty split.
            CancelledError: `stop` was set.
        """
        correct = n = 0
        with torch.inference_mode():
            for x_NCHW, y_N in self.batches(split, size_px, self.settings.images):
                if stop is not None and stop.is_set():
                    raise CancelledError
                correct += int((logits_of(x_NCHW).argmax(1) == y_N).sum())
                n += len(y_N)
        if n == 0:
            raise InputError(f"the {split} split of '{self.dataset.name}' has no images to evaluate on")
        return correct, n

    def batches(self, split: str, size_px: int, limit: int | None = None) -> Iterable[tuple[Tensor, Tensor]]:
        """Returns batches (x [n, 3, s, s], y [n]) of the first `limit` images of a split, all where None."""
        return self._images.batches(split, size_px, self.settings.batch_size, limit)

    def forget_images(self, split: str) -> None:
        """Lets the kept images of a split go, where no more candidates come; they can be made again."""
        self._images.forget(split)

    def _calibration(self, size_px: int) -> list[Tensor]:
        limit = self.settings.calibrate_images
        batches = self._images.batches("calibrate", size_px, _CALIBRATE_BATCH_SIZE, limit)
        return [x_NCHW for x_NCHW, _ in batches]
