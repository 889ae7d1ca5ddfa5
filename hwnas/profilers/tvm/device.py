"""TVM on this machine's processor."""

import importlib.util
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from hwnas.errors import InputError
from hwnas.profilers.device import Device, Remarks
from hwnas.profilers.machine.fingerprint import Fingerprint
from hwnas.profilers.machine.folders import cache_home
from hwnas.profilers.machine.processor import processor_facts, processor_family
from hwnas.profilers.measurement import Kind
from hwnas.profilers.measuring.meter import Meter
from hwnas.profilers.measuring.protocol import Protocol
from hwnas.profilers.measuring.worker_meter import worker_meter
from hwnas.profilers.memory import PlannedMemory
from hwnas.profilers.onnx.model import save_onnx
from hwnas.profilers.tvm.compiled.library import Library, SpaceLayers, has_linker, open_library
from hwnas.profilers.tvm.kernels.crossing import BYTE_BITS, LayerKey, links_of, runs_in_bytes
from hwnas.profilers.tvm.kernels.int8.vnni import vnni_here
from hwnas.profilers.tvm.kernels.packs import Pack, given_pack, pack_for, tvm_version
from hwnas.profilers.tvm.kernels.plan import space_layers
from hwnas.profilers.tvm.target import Target, targets_here
from hwnas.spaces import FLOAT_BITS, Candidates, Layer, Network, Space, random_network

ARTEFACT = "model.so"
PROGRAM = "model.json"
# Spaces with more are compiled network by network: they have every layer at many image sizes.
_MOST_AT_ONCE = 400


class TvmDevice(Device):
    """The device `cpu`: networks made of a space's kernels, which are compiled once.

    It serves one space, since schedules are tuned for the kernels of a space; what is not tuned has a
    schedule by rule. Layers of 8 bits are built on AVX512-VNNI, in one thread: where that is not what
    there is, it has 32 bits only.
    """

    runtime = "TVM"
    kind: Kind = "measured"
    bits: tuple[int, ...] = (FLOAT_BITS,)

    def __init__(
        self,
        space: Space,
        *,
        name: str = "cpu",
        threads: int = 1,
        cores: list[int] | None = None,
        schedules: Path | None = None,
        target: Target | None = None,
    ) -> None:
        """Takes the space whose networks will run, and what differs from the device `cpu`.

        Args:
            space: one space.
            name: of the device.
            threads: that a network runs on.
            cores: to pin them to; None takes the last ones.
            schedules: the file of a pack; None takes the one for this processor, if there is one.
            target: what to compile for; None takes the best that this processor runs.
        """
        self.space = space
        self._layers = SpaceLayers(space)
        self.name = name
        self.threads = threads
        self._cores = cores
        self._schedules = schedules
        self._targets = [target] if target else targets_here(threads)
        if threads == 1 and vnni_here() and all(one in targets_here() for one in self._targets):
            self.bits = (FLOAT_BITS, BYTE_BITS)
        self._library: Library | None = None

    def unavailable(self) -> str | None:
        """Returns what is missing: TVM, a processor it is used on, or a pack that fits."""
        if importlib.util.find_spec("tvm") is None or tvm_version() is None:
            return "the package apache-tvm is not installed; run: pip install hwnas"
        if not self._targets:
            return "it runs on x86-64-v2 processors and later, under Linux, and this is none; use 'cpu-ort'"
        try:
            _ = self._pack
        except InputError as error:
            return str(error)
        return None

    @property
    def pack(self) -> Pack:
        """The schedules in use; an empty pack where none were made for this processor.

        Raises:
            UnavailableError: the device is not usable here.
        """
        self.need_usable()
        return self._pack

    def fingerprint(self) -> Fingerprint:
        """Returns processor, TVM's version, the pack, threads and batch."""
        return Fingerprint(
            {
                "device": self.name,
                "runtime_version": f"tvm {tvm_version()}",
                "pack": self.pack.id,
                "target": self.pack.target.name,
                "threads": self.threads,
                "batch": self.batch,
                **({"cores": ",".join(map(str, self._cores))} if self._cores is not None else {}),
                **processor_facts(),
            }
        )

    def refusal(self, layer: Layer) -> str | None:
        """Returns why a layer is refused: its bits, or that it is not of the space."""
        got = f"but got {layer.weight_bits} and {layer.activation_bits}"
        if layer.quantized and BYTE_BITS not in self.bits:
            return f"bits must be {FLOAT_BITS} (8 needs AVX512-VNNI and one thread), {got}"
        if layer.quantized and not runs_in_bytes(layer):
            return f"bits must be {FLOAT_BITS}, or {BYTE_BITS} for weights and activations alike, {got}"
        return self._layers.refusal(layer)

    def prepare(self, on_progress: Callable[[int, int], None] | None = None) -> None:
        """Compiles the space's floating-point kernels, a tenth of a CPU s each, once a machine and pack.

        What it leaves out, `build` compiles when a network needs it: kernels of 8 bits, and all those
        of spaces that have thousands.

        Args:
            on_progress: hears of kernels done and kernels in all.

        Raises:
            UnavailableError: the device is not usable here.
            InputError: a schedule does not fit its kernel, or the cache cannot be written to.
        """
        if len(_operations(self.space)) <= _MOST_AT_ONCE:
            self._compiled(space_layers(self.space), on_progress)

    def build(self, network: Network, folder: Path) -> Path:
        """Returns `model.so`, written into the folder with the `model.onnx` it stands for.

        Where there is no C compiler it is `model.json`, a program for the kernels in the cache.
        """
        from hwnas.profilers.tvm.compiled.assemble import export
        from hwnas.profilers.tvm.compiled.coverage import write_coverage
        from hwnas.profilers.tvm.compiled.in_memory import write_program

        self.check(network.layers)
        library = self._compiled(self._runs(network.layers))
        save_onnx(network, folder)
        write_coverage(network.layers, library, folder)
        if not library.linkable:
            write_program(network, library, folder / PROGRAM)
            return folder / PROGRAM
        export(network, library, folder / ARTEFACT)
        return folder / ARTEFACT

    def remarks(self, artefact: Path) -> Remarks:
        """Returns how much of an artefact is tuned."""
        from hwnas.profilers.tvm.compiled.coverage import coverage_remarks

        return coverage_remarks(artefact, self._tuning_command("10min"))

    def tuned_percent(self) -> tuple[float, float] | None:
        """Returns the tuned share of the compiled kernels' operations and expected time; None without any."""
        if self._library is None:
            return None
        found = self._library.coverage(self._library.kernels)
        return found.flops_percent, found.time_percent

    def canary(self) -> Network:
        """Returns the middle architecture of the space at its smallest image size.

        Kernels are compiled for the layers of the space, so it must be of it.
        """
        genome = self.space.choice_counts // 2
        genome[-1] = 0
        return random_network(Candidates.of_genomes(self.space, genome[None]).layers(0))

    def planned_memory(self, layers: Sequence[Layer]) -> PlannedMemory:
        """Returns the storages of a chain's maps, its image and logits, and its kernels' workspace."""
        from hwnas.profilers.tvm.compiled.memory import planned_memory

        self.check(layers)
        return planned_memory(layers, self._compiled(self._runs(layers)))

    def meter(self, protocol: Protocol) -> AbstractContextManager[Meter]:
        """Returns a meter for libraries that `build` wrote."""
        return worker_meter(
            self.name,
            "hwnas.profilers.tvm.runner",
            self.fingerprint(),
            protocol,
            threads=self.threads,
            cores=self._cores,
            conditions={"pack": self.pack.id},
            reload=True,
        )

    def _compiled(
        self, layers: Sequence[LayerKey], on_progress: Callable[[int, int], None] | None = None
    ) -> Library:
        """The library, with what layers need compiled."""
        if self._library is None or any(key not in self._library.plan for key in layers):
            place = cache_home() / "kernels"
            self._library = open_library(layers, self.pack, place, on_progress, has_linker())
        return self._library

    def _runs(self, layers: Sequence[Layer]) -> list[LayerKey]:
        """What a chain runs. One that begins inside a network reads a map, not the image."""
        image = replace(layers[0], weight_bits=FLOAT_BITS, activation_bits=FLOAT_BITS)
        return [link.key for link in links_of(layers, (image, True) in self._known_keys)]

    @cached_property
    def _pack(self) -> Pack:
        space, targets = self.space.key, self._targets
        if self._schedules is not None:
            return given_pack(self._schedules, space, targets)
        # Of the best target alone: a pack of a lesser one is no better than the best one's rules.
        empty = Pack(space, targets[0], str(tvm_version()), processor_family(), "", {})
        return pack_for(space, targets[:1]) or empty

    @cached_property
    def _known_keys(self) -> frozenset[LayerKey]:
        return frozenset(space_layers(self.space))

    def _tuning_command(self, budget: str) -> str:
        given = self.space.name if self.space.definition is None else "FILE.yaml"
        device = self.name if self.definition is None else "DEVICE.yaml"
        return f"hwnas profile --device {device} --space {given} --tune-budget {budget}"


def _operations(space: Space) -> set[tuple[object, ...]]:
    """The different operations of a space; about as many as its kernels, and found without TVM."""
    return {
        (op.kind, op.in_channels, op.out_channels, op.kernel, op.stride, op.activation, layer.in_size_px)
        for layer, _ in space_layers(space)
        for op in layer.ops
        if op.weights or op.kind == "pool"
    }
