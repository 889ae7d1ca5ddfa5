"""TVM on other machines: servers behind an RPC tracker, such as a shelf of Raspberry Pis."""

import importlib.util
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

from hwnas.errors import HwnasError, UnavailableError
from hwnas.profilers.device import Device, Remarks
from hwnas.profilers.machine.fingerprint import Fingerprint
from hwnas.profilers.machine.folders import cache_home
from hwnas.profilers.measurement import Kind
from hwnas.profilers.measuring.meter import Meter
from hwnas.profilers.measuring.protocol import Protocol
from hwnas.profilers.measuring.worker_meter import worker_meter
from hwnas.profilers.onnx.model import save_onnx
from hwnas.profilers.tvm.compiled.cross import artefact_format
from hwnas.profilers.tvm.compiled.library import Library, SpaceLayers, open_library
from hwnas.profilers.tvm.device import TvmDevice
from hwnas.profilers.tvm.kernels.packs import Pack, given_pack, pack_for, tvm_version, user_folder
from hwnas.profilers.tvm.kernels.plan import space_layers
from hwnas.profilers.tvm.remote.farm import farm
from hwnas.profilers.tvm.remote.machine import RemoteMachine, ask, device_file
from hwnas.profilers.tvm.remote.tracker import SCHEME, Address, parse_address, servers
from hwnas.profilers.tvm.target import Target
from hwnas.spaces import FLOAT_BITS, Layer, Network, Space


def remote_device(
    address: str,
    space: Space,
    *,
    name: str | None = None,
    target: Target | None = None,
    threads: int = 1,
    schedules: Path | None = None,
) -> "RemoteTvm":
    """Returns the device that the servers of one key are together.

    Args:
        address: `HOST:PORT/KEY` of the tracker, with or without `rpc:`.
        space: whose networks will run.
        name: None takes `rpc:HOST:PORT/KEY`.
        target: what to compile for; None asks a server.
        threads: that a network may use there.
        schedules: a pack to use; None takes the one made for this kind of processor, if there is one.

    Raises:
        InputError: the address has another form.
    """
    return RemoteTvm(
        parse_address(address), space, name=name, target=target, threads=threads, schedules=schedules
    )


class RemoteTvm(Device):
    """Networks cross-compiled here, timed by the clocks of the servers of one key.

    All of them count as one device, so their processors must be alike. Several measure at once.

    Attributes:
        wait_s: how long a server may be away, beside the time that others use it for.
    """

    runtime = "TVM over RPC"
    kind: Kind = "measured"
    bits = (FLOAT_BITS,)
    energy_meters = ()
    wait_s = 60.0

    def __init__(
        self,
        address: Address,
        space: Space,
        *,
        name: str | None = None,
        target: Target | None = None,
        threads: int = 1,
        schedules: Path | None = None,
    ) -> None:
        """Takes what `remote_device` says."""
        self.address = address
        self.space = space
        self._layers = SpaceLayers(space)
        self.name = name or f"{SCHEME}{address}"
        self.threads = threads
        self._target_given = target
        self._schedules = schedules
        self._library: Library | None = None

    def unavailable(self) -> str | None:
        """Returns what is missing: TVM, the tracker, a server, or knowing what its processor is."""
        if importlib.util.find_spec("tvm") is None or tvm_version() is None:
            return "the package apache-tvm is not installed; run: pip install hwnas"
        try:
            servers(self.address)
            _ = self.pack
        except HwnasError as error:
            return str(error)
        return None

    @cached_property
    def machine(self) -> RemoteMachine | None:
        """What a server says of its processor; None where it cannot.

        Raises:
            UnavailableError: none answers.
        """
        return ask(self.address)

    @cached_property
    def target(self) -> Target:
        """What kernels are compiled for.

        Raises:
            UnavailableError: no server says what it is, and no device file does.
        """
        return self._targets[0]

    @cached_property
    def pack(self) -> Pack:
        """The schedules in use; an empty one where none were made for this kind of processor.

        Raises:
            UnavailableError: it is not known what to compile for.
            InputError: the pack given does not fit.
        """
        if self._schedules is not None:
            return given_pack(self._schedules, self.space.key, self._targets)
        found = pack_for(self.space.key, self._targets, self.packs, self.processor)
        return found or Pack(self.space.key, self.target, str(tvm_version()), self.processor, "", {})

    @property
    def packs(self) -> Path:
        """The folder of the packs made on such servers, apart from those made on this machine."""
        return user_folder() / self.processor

    @cached_property
    def processor(self) -> str:
        """The kind of processor that packs for these servers are made on and for."""
        return f"remote-{self.machine.cpu if self.machine else self.target.name}"

    def fingerprint(self) -> Fingerprint:
        """Returns the key, the processor, TVM's version, the pack, threads and batch; not the tracker."""
        self.need_usable()
        machine = self.machine
        return Fingerprint(
            {
                "device": "rpc",
                "key": self.address.key,
                "runtime_version": f"tvm {tvm_version()}",
                "pack": self.pack.id,
                "target": self.pack.target.name,
                "threads": self.threads,
                "batch": self.batch,
                "machine": f"{self.address.key} ({machine.machine if machine else self.pack.target.triple})",
                "cpu": machine.cpu if machine else "not told",
            }
        )

    def refusal(self, layer: Layer) -> str | None:
        """Returns why a layer is refused: bits other than 32, or not of the space."""
        if layer.quantized:
            return f"bits must be {FLOAT_BITS}, but got {layer.weight_bits} and {layer.activation_bits}"
        return self._layers.refusal(layer)

    def prepare(self, on_progress: Callable[[int, int], None] | None = None) -> None:
        """Compiles the space's kernels for the servers, once a target and pack."""
        self._compiled(on_progress)

    def build(self, network: Network, folder: Path) -> Path:
        """Returns `model.so`, or `model.tar` for servers that link it, beside its `model.onnx`."""
        from hwnas.profilers.tvm.compiled.assemble import export
        from hwnas.profilers.tvm.compiled.coverage import write_coverage

        self.check(network.layers)
        library = self._compiled()
        save_onnx(network, folder)
        suffix, maker = artefact_format(self.pack.target.triple)
        write_coverage(network.layers, library, folder)
        path = folder / f"model{suffix}"
        export(network, library, path, maker)
        return path

    def canary(self) -> Network | None:
        """Returns the canary that `cpu` has for the space: kernels are compiled for its layers alone."""
        return TvmDevice(self.space).canary()

    def remarks(self, artefact: Path) -> Remarks:
        """Returns how much of an artefact is tuned."""
        from hwnas.profilers.tvm.compiled.coverage import coverage_remarks

        given = self.space.name if self.space.definition is None else "FILE.yaml"
        device = self.name if self.definition is None else "DEVICE.yaml"
        return coverage_remarks(
            artefact, f"hwnas profile --device {device} --space {given} --tune-budget 30min"
        )

    def meter(self, protocol: Protocol) -> AbstractContextManager[Meter]:
        """Returns a meter with a worker for each server that the tracker has now."""
        fingerprint = self.fingerprint()
        # The longest that a group may take; another worker may have to wait for its end.
        group_s = protocol.group_size * (3 * protocol.subject_ms + protocol.warmup_ms) / 1e3
        wait_s = self.wait_s + group_s
        settings = {
            "tracker": asdict(self.address),
            "kind": "cpu",
            "wait_s": wait_s,
            # A server whose client hangs is free again then.
            "session_s": 60 + 3 * group_s,
            "here": False,
        }
        return farm(
            [
                worker_meter(
                    self.name,
                    "hwnas.profilers.tvm.remote.runner",
                    fingerprint,
                    protocol,
                    threads=self.threads,
                    settings=settings,
                    cores=[],
                    load_s=wait_s + protocol.silence_s,
                    conditions={"pack": self.pack.id, "target": self.pack.target.name},
                )
                for _ in servers(self.address)
            ]
        )

    @cached_property
    def _targets(self) -> list[Target]:
        if self._target_given is not None:
            return [self._target_given]
        if self.machine is None:
            raise UnavailableError(
                f"the servers of {SCHEME}{self.address} cannot say what processor they have, since their TVM "
                f"has no LLVM: describe them in a device file, with these lines: {device_file(self.address)}"
            )
        found = self.machine.targets(self.threads)
        if not found:
            raise UnavailableError(
                f"kernels are compiled for x86-64-v2 and later, but {SCHEME}{self.address} is "
                f"'{self.machine.cpu}'"
            )
        return found

    def _compiled(self, on_progress: Callable[[int, int], None] | None = None) -> Library:
        if self._library is None:
            self.need_usable()
            place = cache_home() / "kernels"
            self._library = open_library(space_layers(self.space), self.pack, place, on_progress)
        return self._library
