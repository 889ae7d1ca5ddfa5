"""PyTorch on this machine's processor or GPU: eager, or through torch.compile."""

import os
import shutil
import subprocess
import sysconfig
from contextlib import AbstractContextManager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import final

from hwnas.profilers.machine.fingerprint import Fact, Fingerprint
from hwnas.profilers.machine.folders import cache_home
from hwnas.profilers.machine.placement import Placement
from hwnas.profilers.measuring.meter import Meter
from hwnas.profilers.measuring.protocol import Protocol
from hwnas.profilers.onnx.device import OnnxFileDevice
from hwnas.spaces import FLOAT_BITS, Layer

# A network's program takes seconds on a quiet machine.
_COMPILE_S = 900.0


@final
class TorchDevice(OnnxFileDevice):
    """The devices `cpu-torch`, `cpu-torch-compiled` and `cuda-torch`: floating point, channels last.

    The artefact is the ONNX file; the worker makes a torch module of it.
    """

    runtime = "PyTorch"
    bits = (FLOAT_BITS,)

    def __init__(self, name: str, place: Placement, compiled: bool = False) -> None:
        """Takes the name it is known by, where it runs, and whether torch.compile comes first."""
        super().__init__(name, place)
        self.compiled = compiled

    def unavailable(self) -> str | None:
        """Returns what is missing: torch, a GPU and a build for it, or what torch.compile needs."""
        if find_spec("torch") is None:
            return "the package torch is not installed; run: pip install torch"
        return self.misplaced() or (self._cannot_compile() if self.compiled else None)

    def fingerprint(self) -> Fingerprint:
        """Returns processor, GPU, torch's version, how it compiles, threads and batch."""
        self.need_usable()
        facts: dict[str, Fact] = {"device": self.name, "runtime_version": f"torch {version('torch')}"}
        if self.compiled:
            facts |= {"compile": "torch.compile", "compiler_version": _compiler_version()}
        return Fingerprint({**facts, **self.place.facts()})

    def refusal(self, layer: Layer) -> str | None:
        """Returns that a layer is quantized; None for one in floating point."""
        if layer.quantized:
            return f"bits must be {FLOAT_BITS}, but got {layer.weight_bits} and {layer.activation_bits}"
        return None

    def meter(self, protocol: Protocol) -> AbstractContextManager[Meter]:
        """Returns a meter for ONNX files with one input and one output."""
        return self.file_meter(
            "hwnas.profilers.torch.runner",
            protocol,
            {"torch": True, "compile": self.compiled, "cache": str(cache_home() / "torch")},
            load_s=_COMPILE_S if self.compiled else 0.0,
            reload=self.place.provider == "cpu" and not self.compiled,
        )

    def no_cuda(self) -> str | None:
        """Returns that torch's build has no CUDA, or one that the driver does not run; None if it has."""
        import torch

        if torch.version.cuda is None:
            return (
                f"torch {torch.__version__} is a build without CUDA; install one with it, as "
                "https://pytorch.org/get-started shows"
            )
        if not torch.cuda.is_available():
            return (
                f"torch's CUDA {torch.version.cuda} does not start with this driver; install a newer driver"
            )
        return None

    def _cannot_compile(self) -> str | None:
        """Why torch.compile would fail here; None if it would not."""
        if shutil.which(_compiler()) is None:
            return (
                f"torch.compile needs a C++ compiler, and there is no {_compiler()} here; "
                "Debian, Ubuntu: apt install g++; or set CXX"
            )
        if not Path(sysconfig.get_path("include"), "Python.h").exists():
            return (
                "torch.compile needs Python's headers, and they are not here; "
                "Debian, Ubuntu: apt install python3-dev"
            )
        if self.place.provider == "cuda" and find_spec("triton") is None:
            return "torch.compile needs the package triton for a GPU; run: pip install triton"
        return None


def _compiler() -> str:
    """The C++ compiler that torch.compile takes."""
    return os.environ.get("CXX") or "g++"


def _compiler_version() -> str:
    ran = subprocess.run([_compiler(), "--version"], capture_output=True, text=True, check=False)
    return ran.stdout.partition("\n")[0]
