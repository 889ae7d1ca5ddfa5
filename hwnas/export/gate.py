"""The gate: a file leaves only if it computes what the module computed."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import InputError, first_line
from hwnas.profilers.machine.processor import cores_here
from hwnas.spaces import INPUT

Floats = NDArray[np.float32]
OnImages = Callable[[Floats], Floats]

# Floating point: another order of additions. Quantized: ties that round the other way.
FLOAT_DIFFERENCE = 1e-3
QUANTIZED_AGREEMENT_PERCENT = 99.5
MOST_ACCURACY_POINTS = 0.3


@dataclass(frozen=True)
class Agreement:
    """How far a file's logits are from the module's on the same images.

    Attributes:
        passed: whether the file may leave.
        images: how many were compared.
        top1_agreement_percent: of the images, those to which both give the same class.
        max_relative_difference: the largest difference of a logit over the largest logit.
        reason: why it did not pass; None if it did.
        accuracy_difference_points: accuracy of the file less that of the module on these images; None
            where their classes were not given.
    """

    passed: bool
    images: int
    top1_agreement_percent: float
    max_relative_difference: float
    reason: str | None
    accuracy_difference_points: float | None = None


def check_agreement(
    reference: Floats, found: Floats, quantized: bool, labels: NDArray[np.int64] | None = None
) -> Agreement:
    """Returns whether two sets of logits [n, classes] are the same model's, n above 0.

    In floating point every logit must agree to a thousandth of the largest; a quantized file must
    name the same class for 99.5 % of the images. Anything that is not finite does not pass. Where
    a module's largest logits tie, any of them counts as its class. With `labels` [n], the accuracy of a
    quantized file must be within 0.3 points of the module's too.
    """
    if reference.shape != found.shape or not len(reference):
        return Agreement(False, 0, 0.0, 0.0, f"the module gives {reference.shape}, the file {found.shape}")
    n = len(reference)
    if not (np.isfinite(reference).all() and np.isfinite(found).all()):
        return Agreement(False, n, 0.0, 0.0, "some logits are not finite")
    chosen = np.take_along_axis(reference, found.argmax(axis=1)[:, None], axis=1)[:, 0]
    agreement = 100 * float((chosen >= reference.max(axis=1)).mean())
    largest = max(float(np.abs(reference).max()), float(np.finfo(np.float32).tiny))
    difference = float(np.abs(found - reference).max()) / largest
    reason = None
    if quantized and agreement < QUANTIZED_AGREEMENT_PERCENT:
        reason = (
            f"module and file must name the same class for {QUANTIZED_AGREEMENT_PERCENT:g} % of the images, "
            f"but do for {agreement:.1f} %"
        )
    if not quantized and difference > FLOAT_DIFFERENCE:
        reason = f"logits must agree to {FLOAT_DIFFERENCE:g} of the largest, but differ by {difference:.2g}"
    points = None if labels is None else _points_apart(reference, found, labels)
    if quantized and points is not None and abs(points) > MOST_ACCURACY_POINTS + 1e-9 and reason is None:
        reason = (
            f"module and file must name as many images right, to {MOST_ACCURACY_POINTS:g} points, but differ "
            f"by {points:+.2f}"
        )
    return Agreement(reason is None, n, agreement, difference, reason, points)


def _points_apart(reference: Floats, found: Floats, labels: NDArray[np.int64]) -> float:
    right = [(logits.argmax(axis=1) == labels).mean() for logits in (found, reference)]
    return 100 * float(right[0] - right[1])


def file_logits(model: Path | bytes, threads: int | None = None) -> OnImages:
    """Returns a function from images [n, 3, side, side] to logits [n, classes], run by ONNX Runtime.

    Args:
        model: an ONNX file, or its bytes as `read_onnx` checked them.
        threads: of ONNX Runtime; None takes a thread for each core this process may use.

    Raises:
        InputError: ONNX Runtime does not load the file.
    """
    from hwnas.profilers.ort.runner import open_session

    try:
        # Threads that wait asleep: on a busy machine, spinning ones lose more than they gain.
        session = open_session(model, threads or len(cores_here()), spinning=False)
    except Exception as error:  # onnxruntime's errors have no common root
        which = model if isinstance(model, Path) else "it"
        raise InputError(f"ONNX Runtime does not load {which}: {first_line(error)}") from error

    def run(images: Floats) -> Floats:
        return np.asarray(session.run(None, {INPUT: images})[0], np.float32)

    return run
