"""ONNX Runtime on this machine's processor or GPU."""

from contextlib import AbstractContextManager
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import final

from hwnas.profilers.machine.fingerprint import Fingerprint
from hwnas.profilers.machine.placement import Placement
from hwnas.profilers.measuring.meter import Meter
from hwnas.profilers.measuring.protocol import Protocol
from hwnas.profilers.onnx.device import OnnxFileDevice
from hwnas.spaces import FLOAT_BITS, Layer

# What each provider runs faster than, or as fast as, floating point; CUDA has no integer kernels.
BITS = {"cpu": (FLOAT_BITS, 8), "cuda": (FLOAT_BITS,)}


@final
class OnnxRuntimeDevice(OnnxFileDevice):
    """The devices `cpu-ort` and `cuda-ort`: ONNX files, on the processor in 32 and 8 bits.

    Quantized networks hold unsigned activations: signed ones run slower than floating point.
    """

    runtime = "ONNX Runtime"

    def __init__(
        self,
        name: str = "cpu-ort",
        place: Placement = Placement(),  # noqa: B008 (frozen)
        bits: tuple[int, ...] | None = None,
    ) -> None:
        """Takes the name it is known by, where it runs, and bits where it is to run fewer than it can."""
        super().__init__(name, place)
        self.bits = bits or BITS[place.provider]

    def unavailable(self) -> str | None:
        """Returns what is missing: ONNX Runtime, a GPU, or the package with CUDA."""
        if find_spec("onnxruntime") is None:
            return "the package onnxruntime is not installed; run: pip install onnxruntime"
        return self.misplaced()

    def fingerprint(self) -> Fingerprint:
        """Returns processor, GPU, runtime version, threads and batch."""
        self.need_usable()
        facts = {"device": self.name, "runtime_version": f"onnxruntime {_version()}"}
        return Fingerprint({**facts, **self.place.facts()})

    def refusal(self, layer: Layer) -> str | None:
        """Returns why a layer is refused: bits it does not run, or not the same for both."""
        if layer.weight_bits != layer.activation_bits:
            return (
                f"weights and activations must have the same bits, "
                f"but got {layer.weight_bits} and {layer.activation_bits}"
            )
        if layer.weight_bits not in self.bits and layer.quantizable:
            return f"bits must be {' or '.join(map(str, self.bits))}, but got {layer.weight_bits}"
        return None

    def meter(self, protocol: Protocol) -> AbstractContextManager[Meter]:
        """Returns a meter for ONNX files with one input and one output."""
        return self.file_meter(
            "hwnas.profilers.ort.runner", protocol, {}, reload=self.place.provider == "cpu"
        )

    def no_cuda(self) -> str | None:
        """Returns that the package is the one for processors alone; None for the other."""
        import onnxruntime

        if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            return None
        return (
            "the installed ONNX Runtime has no CUDA; run: pip uninstall onnxruntime && "
            "pip install onnxruntime-gpu"
        )


def _version() -> str:
    for package in ("onnxruntime", "onnxruntime-gpu"):
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    import onnxruntime

    return str(onnxruntime.__version__)
