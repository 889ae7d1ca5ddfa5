"""TVM on an NVIDIA GPU of this machine."""

import importlib.util
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any

from hwnas.errors import InputError, UnavailableError
from hwnas.profilers.device import Device, Remarks
from hwnas.profilers.machine.fingerprint import Fingerprint
from hwnas.profilers.machine.folders import cache_home
from hwnas.profilers.machine.gpu import NO_GPU, gpu
from hwnas.profilers.measurement import Kind
from hwnas.profilers.measuring.meter import Meter
from hwnas.profilers.measuring.protocol import Protocol
from hwnas.profilers.measuring.worker_meter import worker_meter
from hwnas.profilers.onnx.model import save_onnx
from hwnas.profilers.tvm.compiled.library import Library, SpaceLayers, has_linker
from hwnas.profilers.tvm.device import ARTEFACT, TvmDevice
from hwnas.profilers.tvm.intrinsics import prepare_tvm
from hwnas.profilers.tvm.kernels.packs import Pack, given_pack, pack_for, tvm_version
from hwnas.profilers.tvm.kernels.plan import applied, kernel_module, kernels_of, space_layers
from hwnas.profilers.tvm.target import Target
from hwnas.spaces import FLOAT_BITS, Layer, Network, Space


class CudaTvm(Device):
    """Networks of one space, floating point, one image at a time, timed by the GPU's clock.

    Kernels that no pack has a schedule for take TVM's default ones for GPUs.
    """

    runtime = "TVM"
    kind: Kind = "measured"
    bits = (FLOAT_BITS,)
    energy_meters = ("nvml", "hwmon")

    def __init__(
        self, space: Space, *, name: str = "cuda", target: Target | None = None, schedules: Path | None = None
    ) -> None:
        """Takes the space whose networks will run, and what differs from the device `cuda`.

        Args:
            space: one space.
            name: as measurements carry it.
            target: what to compile for; None takes the first visible GPU.
            schedules: a pack to use; None takes the one made for this kind of GPU, if there is one.
        """
        self.space = space
        self._layers = SpaceLayers(space)
        self.name = name
        self._target_given = target
        self._schedules = schedules

    def unavailable(self) -> str | None:
        """Returns what is missing: TVM, a GPU, CUDA's runtime, a compiler of kernels, or a linker."""
        if importlib.util.find_spec("tvm") is None or tvm_version() is None:
            return "the package apache-tvm is not installed; run: pip install hwnas"
        if gpu() is None:
            return NO_GPU
        if cuda_compiler() is None:
            return (
                "TVM compiles GPU kernels with CUDA's nvcc or with NVRTC, and there is neither; "
                "run: pip install cuda-python, or install the CUDA toolkit and put nvcc on PATH"
            )
        if not has_linker():
            return "TVM links with a C compiler, and there is none here; Debian, Ubuntu: apt install gcc"
        try:
            _ = self.pack
        except InputError as error:
            return str(error)
        return self._no_runtime()

    @cached_property
    def pack(self) -> Pack:
        """The schedules in use; an empty pack where none were made for this kind of GPU.

        Raises:
            UnavailableError: there is no GPU.
            InputError: the pack given does not fit.
        """
        target = self._target
        if self._schedules is not None:
            return given_pack(self._schedules, self.space.key, [target])
        found = pack_for(self.space.key, [target], processor=target.name)
        return found or Pack(self.space.key, target, str(tvm_version()), target.name, "", {})

    def fingerprint(self) -> Fingerprint:
        """Returns the GPU, its driver, TVM's version, the pack and batch."""
        self.need_usable()
        card = gpu()
        assert card, "it is usable"
        return Fingerprint(
            {
                "device": self.name,
                "runtime_version": f"tvm {tvm_version()}",
                "pack": self.pack.id,
                "target": self.pack.target.name,
                "batch": self.batch,
                "gpu": card.name,
                "driver_version": card.driver,
                "machine": card.name,
            }
        )

    def refusal(self, layer: Layer) -> str | None:
        """Returns why a layer is refused: bits other than 32, or not of the space."""
        if layer.quantized:
            return f"bits must be {FLOAT_BITS}, but got {layer.weight_bits} and {layer.activation_bits}"
        return self._layers.refusal(layer)

    def prepare(self, on_progress: Callable[[int, int], None] | None = None) -> None:
        """Compiles the space's kernels, once a process."""
        if on_progress:
            on_progress(0, 1)
        _ = self._compiled
        if on_progress:
            on_progress(1, 1)

    def build(self, network: Network, folder: Path) -> Path:
        """Returns `model.so`, written into the folder with the `model.onnx` it stands for.

        It holds the kernels of the whole space, since a GPU's are one program.
        """
        from hwnas.profilers.tvm.compiled.assemble import program

        self.check(network.layers)
        library, kernels = self._compiled
        import tvm
        from tvm import relax

        save_onnx(network, folder)
        builder, _ = program(network, library)
        link = tvm.get_global_func("relax.VMLink")
        executable = relax.vm_build.VMExecutable(link(builder, library.target.to_tvm(), kernels, [], {}))
        executable.export_library(str(folder / ARTEFACT))
        return folder / ARTEFACT

    def canary(self) -> Network | None:
        """Returns the canary that `cpu` has for the space: kernels are compiled for its layers alone."""
        return TvmDevice(self.space).canary()

    def remarks(self, artefact: Path) -> Remarks:
        """Returns that no kernel is tuned, where that is so."""
        if self.pack.schedules:
            return Remarks()
        return Remarks({"tuned_flops_percent": 0.0}, ("no schedules are tuned for this GPU",))

    def meter(self, protocol: Protocol) -> AbstractContextManager[Meter]:
        """Returns a meter for libraries that `build` wrote."""
        return worker_meter(
            self.name,
            "hwnas.profilers.tvm.cuda_runner",
            self.fingerprint(),
            protocol,
            conditions={"pack": self.pack.id},
        )

    @cached_property
    def _target(self) -> Target:
        card = gpu()
        if self._target_given is not None:
            return self._target_given
        if card is None:
            raise UnavailableError(NO_GPU)
        return Target(kind="cuda", mcpu=card.arch)

    @cached_property
    def _compiled(self) -> tuple[Library, Any]:
        """The plan of the space's layers, and TVM's module with all kernels."""
        prepare_tvm()
        # Read when TVM compiles; its own default is NVRTC, whether or not that is installed.
        os.environ.setdefault("TVM_CUDA_COMPILE_MODE", cuda_compiler() or "nvrtc")
        kernels = kernels_of(space_layers(self.space))
        module = scheduled_for_gpu(kernels.functions, self.pack)
        import tvm

        # TVM's call of the CUDA compiler reads the architecture from the target in force.
        with self.pack.target.to_tvm() as target:
            built = tvm.compile(module, target).mod
        place = cache_home() / "kernels"
        return Library(place, self.pack.target, self.pack.id, kernels.plan, {}), built

    def _no_runtime(self) -> str | None:
        """What TVM's part for CUDA cannot find; None if it loads."""
        import tvm

        if tvm.get_global_func("device_api.cuda", allow_missing=True) is not None:
            return None
        return (
            f"TVM {tvm_version()} cannot load its part for CUDA, which needs NVIDIA's driver and the runtime "
            "library of CUDA 13 (libcudart.so.13) where the loader finds it; "
            "run: pip install nvidia-cuda-runtime, and add its lib folder to LD_LIBRARY_PATH"
        )


def cuda_compiler() -> str | None:
    """Returns what compiles kernels here, `nvrtc` or `nvcc`; None where neither does."""
    if importlib.util.find_spec("cuda") and importlib.util.find_spec("cuda.bindings"):
        return "nvrtc"
    return "nvcc" if shutil.which("nvcc") else None


def scheduled_for_gpu(functions: Mapping[str, Any], pack: Pack) -> Any:
    """Returns one IRModule of kernels by key, with the pack's schedules or else dlight's."""
    import tvm
    from tvm.s_tir import dlight

    found: dict[str, Any] = {}
    for key, function in functions.items():
        module = kernel_module(function)
        if key in pack.schedules:
            tuned = applied(module, pack.schedules[key], key).mod["main"]
            found[key] = tuned.with_attr("global_symbol", key).with_attr("tirx.is_scheduled", True)
        else:
            found[key] = module["main"].with_attr("global_symbol", key)
    rules = dlight.gpu
    defaults = (rules.Matmul(), rules.GEMV(), rules.Reduction(), rules.GeneralReduction(), rules.Fallback())
    with pack.target.to_tvm():
        return dlight.ApplyDefaultSchedule(*defaults)(tvm.IRModule(found))
