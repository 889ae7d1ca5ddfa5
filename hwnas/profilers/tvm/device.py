"""TVM on this machine's processor."""

import importlib.util
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path

import onnx

from hwnas.errors import InputError, UnavailableError
from hwnas.profilers.device import Device, Meter
from hwnas.profilers.fingerprint import Fingerprint, processor_facts
from hwnas.profilers.measurement import Kind
from hwnas.profilers.meter import worker_meter
from hwnas.profilers.onnx_model import onnx_model
from hwnas.profilers.protocol import Protocol
from hwnas.profilers.tvm.kernels import space_layers
from hwnas.profilers.tvm.library import Library, describe, has_linker, open_library
from hwnas.profilers.tvm.packs import Pack, pack_for, tvm_version
from hwnas.profilers.tvm.places import cache_home, levels_here
from hwnas.spaces import FLOAT_BITS, Layer, Network, Space

ARTEFACT = "model.so"
ONNX = "model.onnx"


class TvmDevice(Device):
    """The device `cpu`: networks compiled from a space's tuned kernels, floating point, one thread.

    It serves one space, since schedules are tuned for the kernels of a space.
    """

    name = "cpu"
    runtime = "TVM"
    kind: Kind = "measured"
    bits = (FLOAT_BITS,)

    def __init__(self, space: Space) -> None:
        """Takes the space whose networks will run."""
        self.space = space
        self._library: Library | None = None

    def unavailable(self) -> str | None:
        """Returns what is missing: TVM, a C compiler to link with, or schedules for this processor."""
        if importlib.util.find_spec("tvm") is None or tvm_version() is None:
            return "the package apache-tvm is not installed; run: pip install hwnas"
        if not has_linker():
            return "TVM links with a C compiler, and there is none here; Debian, Ubuntu: apt install gcc"
        if not levels_here():
            return "it runs on x86-64-v2 processors and later, under Linux, and this is none; use 'cpu-ort'"
        try:
            return None if self._pack else self._no_schedules()
        except InputError as error:
            return str(error)

    @property
    def pack(self) -> Pack:
        """The schedules in use, the best ones this processor can run.

        Raises:
            UnavailableError: the device is not usable here.
        """
        reason = self.unavailable()
        if reason or self._pack is None:
            raise UnavailableError(f"device '{self.name}' is not usable here: {reason}")
        return self._pack

    def fingerprint(self) -> Fingerprint:
        """Returns processor, TVM's version, the pack, threads and batch."""
        return Fingerprint(
            {
                "device": self.name,
                "runtime_version": f"tvm {tvm_version()}",
                "pack": self.pack.id,
                "threads": self.threads,
                "batch": self.batch,
                **processor_facts(),
            }
        )

    def refusal(self, layer: Layer) -> str | None:
        """Returns why a layer is refused: bits other than 32, or not of the space."""
        if layer.quantized:
            return f"bits must be {FLOAT_BITS}, but got {layer.weight_bits} and {layer.activation_bits}"
        if layer not in self._known_layers:
            return f"{describe(layer)} is not of space '{self.space.name}', for which this device was opened"
        return None

    def prepare(self, on_progress: Callable[[int, int], None] | None = None) -> None:
        """Compiles the space's kernels, some 20 CPU s once a machine and pack.

        Args:
            on_progress: hears of kernels done and kernels in all.

        Raises:
            UnavailableError: the device is not usable here.
            InputError: the pack misses a kernel of the space, or the cache cannot be written to.
        """
        self._compiled(on_progress)

    def build(self, network: Network, folder: Path) -> Path:
        """Returns `model.so`, written into the folder with the `model.onnx` it stands for."""
        from hwnas.profilers.tvm.assemble import export

        self.check(network.layers)
        library = self._compiled()
        onnx.save(onnx_model(network), folder / ONNX)
        export(network, library, folder / ARTEFACT)
        return folder / ARTEFACT

    def meter(self, protocol: Protocol) -> AbstractContextManager[Meter]:
        """Returns a meter for libraries that `build` wrote."""
        return worker_meter(
            self.name,
            "hwnas.profilers.tvm.runner",
            self.fingerprint(),
            protocol,
            threads=self.threads,
            conditions={"pack": self.pack.id},
        )

    def _compiled(self, on_progress: Callable[[int, int], None] | None = None) -> Library:
        if self._library is None:
            place = cache_home() / "kernels"
            self._library = open_library(space_layers(self.space), self.pack, place, on_progress)
        return self._library

    @cached_property
    def _pack(self) -> Pack | None:
        return pack_for(self.space.key)

    @cached_property
    def _known_layers(self) -> frozenset[Layer]:
        return frozenset(self.space.vocabulary)

    def _no_schedules(self) -> str:
        given = self.space.name if self.space.definition is None else "FILE.yaml"
        return (
            f"no schedules of space '{self.space.name}' for this processor ({levels_here()[0]}); make them: "
            f"hwnas profile --device {self.name} --space {given} --tune-budget 10min"
        )
