"""Tuning on the servers of a tracker: candidates are built here and timed there, by all at once."""

from collections.abc import Callable
from dataclasses import asdict

from hwnas.profilers.tvm.remote.device import RemoteTvm
from hwnas.profilers.tvm.tuning.making import TuningResult, tune_space
from hwnas.profilers.tvm.tuning.tune import TuningProgress, TuningSettings


def tune_remote(
    device: RemoteTvm,
    budget_s: float,
    settings: TuningSettings | None = None,
    on_progress: Callable[[TuningProgress], None] | None = None,
) -> TuningResult:
    """Returns the outcome of tuning the kernels of a remote device's space on its servers.

    The pack goes where the device looks for it, and is for processors of this kind alone.

    Raises:
        UnavailableError: the device is not usable.
        MeasurementError: no candidate could be built and run there.
    """
    return tune_space(
        device.space,
        budget_s,
        target=device.pack.target,
        settings=settings,
        packs=device.packs,
        processor=device.processor,
        remote=asdict(device.address),
        on_progress=on_progress,
    )
