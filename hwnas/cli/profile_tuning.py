"""Schedules of `hwnas profile`: tuned for so long, taken from a file, written to one."""

from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.cli.options import usable_device
from hwnas.errors import InputError
from hwnas.units import format_size_bytes

if TYPE_CHECKING:
    from hwnas.profilers import Device
    from hwnas.profilers.tvm.device import TvmDevice
    from hwnas.profilers.tvm.remote.device import RemoteTvm
    from hwnas.progress import Progress
    from hwnas.spaces import Space


def tune(name: str, space: "Space", budget_s: float, progress: "Progress") -> None:
    """Tunes a device's kernels for about `budget_s`; the same call goes on where the last one ended.

    Raises:
        InputError: a device that tunes no kernels.
        UnavailableError: there is nothing here or there to tune on.
        MeasurementError: nothing could be built and run.
    """
    from hwnas.profilers.tvm.remote.device import RemoteTvm
    from hwnas.profilers.tvm.tuning.making import tune_space
    from hwnas.profilers.tvm.tuning.remote import tune_remote
    from hwnas.profilers.tvm.tuning.settings import TuningProgress

    def on_progress(state: TuningProgress) -> None:
        progress.say(
            f"tuning: {state.tuned} of {state.kernels} kernels have schedules, {state.trials} trials, "
            f"{state.elapsed_s:.0f} of {budget_s:.0f} s"
        )
        progress.step("tuning, in seconds", min(round(state.elapsed_s), round(budget_s)), round(budget_s))

    device = _tunable(name, space, "--tune-budget")
    if isinstance(device, RemoteTvm):
        usable_device(name, space)
        result = tune_remote(device, budget_s, on_progress=on_progress)
    else:
        result = tune_space(space, budget_s, threads=device.threads, on_progress=on_progress)
    progress.say(f"schedule pack: {result.pack}")
    tuned, kernels = result.progress.tuned, result.progress.kernels
    if tuned < kernels:
        progress.say(f"{tuned} of {kernels} kernels are tuned; the same command goes on")


def take_schedules(path: Path, name: str, space: "Space", progress: "Progress") -> None:
    """Merges a shared schedule pack into this machine's.

    Raises:
        InputError: a device that runs no tuned kernels, or a file that is no pack for this TVM.
    """
    from hwnas.profilers.tvm.tuning.sharing import import_pack

    _tunable(name, space, "--schedules")
    pack = import_pack(path)
    progress.say(f"schedules: {pack.name}, {len(pack.schedules)} kernels, made on {pack.processor}")


def hand_out_schedules(path: Path, name: str, space: "Space", progress: "Progress") -> None:
    """Writes the schedule pack that a device uses to a file to share.

    Raises:
        InputError: a device that runs no tuned kernels, or a file name that packs do not have.
        UnavailableError: the device has no pack.
    """
    from hwnas.profilers.tvm.tuning.sharing import export_pack

    device = _tunable(name, space, "--schedules-out")
    size_bytes = export_pack(device.pack, path)
    progress.say(f"wrote {path}: {len(device.pack.schedules)} kernels, {format_size_bytes(size_bytes)}")


def _tunable(name: str, space: "Space", option: str) -> "TvmDevice | RemoteTvm":
    from hwnas.profilers import get_device
    from hwnas.profilers.tvm.device import TvmDevice
    from hwnas.profilers.tvm.remote.device import RemoteTvm

    device: Device = get_device(name, space)
    if not isinstance(device, TvmDevice | RemoteTvm):
        raise InputError(
            f"{option} needs a device that runs tuned kernels, such as cpu or rpc:HOST:PORT/KEY, but got "
            f"'{name}'; leave it out"
        )
    return device
