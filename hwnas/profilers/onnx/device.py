"""What the devices of this machine share whose artefact is the ONNX file itself."""

from abc import abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, final

from hwnas.profilers.device import Device
from hwnas.profilers.machine.placement import Placement
from hwnas.profilers.measurement import Kind
from hwnas.profilers.measuring.meter import Meter
from hwnas.profilers.measuring.protocol import Protocol
from hwnas.profilers.measuring.worker_meter import worker_meter
from hwnas.profilers.onnx.model import save_onnx
from hwnas.spaces import Network


class OnnxFileDevice(Device):
    """A runtime on this machine's processor or GPU that runs ONNX files as they are exported."""

    kind: Kind = "measured"
    runs_onnx = True

    def __init__(self, name: str, place: Placement) -> None:
        """Takes the name it is known by, and where it runs."""
        self.name = name
        self.place = place
        self.threads, self.batch = place.threads, place.batch
        if place.provider == "cuda":
            self.energy_meters = ("nvml", "hwmon")

    @abstractmethod
    def no_cuda(self) -> str | None:
        """Returns why the runtime does not reach the GPU that is here; None if it does."""

    @final
    def misplaced(self) -> str | None:
        """Returns why the runtime cannot run at its place; None if it can."""
        return self.place.unavailable() or (self.no_cuda() if self.place.provider == "cuda" else None)

    @final
    def build(self, network: Network, folder: Path) -> Path:
        """Returns `model.onnx`, written into the folder."""
        self.check(network.layers)
        return save_onnx(network, folder)

    @final
    def file_meter(
        self,
        runner: str,
        protocol: Protocol,
        settings: Mapping[str, Any],
        *,
        load_s: float = 0.0,
        reload: bool,
    ) -> AbstractContextManager[Meter]:
        """Returns a meter for ONNX files with one input and one output, at the device's place.

        Arguments are those of `worker_meter`; the runner's `settings` say the place too.
        """
        return worker_meter(
            self.name,
            runner,
            self.fingerprint(),
            protocol,
            threads=self.threads,
            settings={"provider": self.place.provider, "batch": self.batch, **settings},
            cores=None if self.place.cores is None else list(self.place.cores),
            load_s=load_s,
            reload=reload,
        )
