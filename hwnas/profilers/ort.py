"""ONNX Runtime on this machine's processor."""

from contextlib import AbstractContextManager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import final

import onnx

from hwnas.errors import UnavailableError
from hwnas.profilers.device import Device, Meter
from hwnas.profilers.fingerprint import Fingerprint, processor_facts
from hwnas.profilers.measurement import Kind
from hwnas.profilers.meter import worker_meter
from hwnas.profilers.onnx_model import onnx_model
from hwnas.profilers.protocol import Protocol
from hwnas.spaces import Layer, Network

ARTEFACT = "model.onnx"


@final
class OnnxRuntimeCpu(Device):
    """The device `cpu-ort`: ONNX files in 32 and 8 bits, one image at a time on one thread.

    Quantized networks hold unsigned activations: signed ones run slower than floating point.
    """

    name = "cpu-ort"
    runtime = "ONNX Runtime"
    kind: Kind = "measured"
    bits = (32, 8)

    def unavailable(self) -> str | None:
        """Returns a hint to install ONNX Runtime where it is missing."""
        if find_spec("onnxruntime") is None:
            return "the package onnxruntime is not installed; run: pip install onnxruntime"
        return None

    def fingerprint(self) -> Fingerprint:
        """Returns processor, runtime version, threads and batch."""
        reason = self.unavailable()
        if reason:
            raise UnavailableError(f"device '{self.name}' is not usable here: {reason}")
        return Fingerprint(
            {
                "device": self.name,
                "runtime_version": f"onnxruntime {version('onnxruntime')}",
                "threads": self.threads,
                "batch": self.batch,
                **processor_facts(),
            }
        )

    def refusal(self, layer: Layer) -> str | None:
        """Returns why a layer is refused: bits other than 32 and 8, or not the same for both."""
        if layer.weight_bits != layer.activation_bits:
            return (
                f"weights and activations must have the same bits, "
                f"but got {layer.weight_bits} and {layer.activation_bits}"
            )
        if layer.weight_bits not in self.bits:
            return f"bits must be 32 or 8, but got {layer.weight_bits}"
        return None

    def build(self, network: Network, folder: Path) -> Path:
        """Returns `model.onnx`, written into the folder."""
        self.check(network.layers)
        path = folder / ARTEFACT
        onnx.save(onnx_model(network), path)
        return path

    def meter(self, protocol: Protocol) -> AbstractContextManager[Meter]:
        """Returns a meter for ONNX files with one input of one image."""
        return worker_meter(
            self.name, "hwnas.profilers.ort_runner", self.fingerprint(), protocol, threads=self.threads
        )
