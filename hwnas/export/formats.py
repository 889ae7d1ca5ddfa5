"""Further files of an exported model: smaller ones, and ones for other tools."""

import json
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import HwnasError, InputError
from hwnas.export.gate import Agreement, check_agreement, file_logits
from hwnas.export.onnx import export_onnx
from hwnas.files import replacing
from hwnas.profilers.onnx.model import MODEL_FILE, Dialect
from hwnas.spaces import FLOAT_BITS, Network, Space, activation_bits

if TYPE_CHECKING:
    from hwnas.supernet import Prepared

# The file of each format. The first two are what every export writes: Q/DQ pairs wherever bits say so.
FORMATS = {
    "onnx": MODEL_FILE,
    "onnx-qdq": MODEL_FILE,
    "onnx-int4": "model-int4.onnx",
    "qonnx": "model-qonnx.onnx",
    "torch": "model.pt2",
    "tvm": "model-tvm.so",
}
_DIALECTS: dict[str, Dialect] = {"onnx-int4": "int4", "qonnx": "qonnx"}
_OF_QUANTIZED = ("onnx-qdq", "onnx-int4", "qonnx")


def checked_formats(names: Sequence[str]) -> tuple[str, ...]:
    """Returns the names, each once.

    Raises:
        InputError: one is no format.
    """
    for name in names:
        if name not in FORMATS:
            raise InputError(f"--format must be one of {', '.join(FORMATS)}, but got '{name}'")
    return tuple(dict.fromkeys(names))


def tensor_bits(network: Network) -> dict[str, dict[str, int]]:
    """Returns the bits of every weight and of every quantized activation, by tensor name."""
    weights = {
        f"{layer.name}.{op.name}.weight": layer.weight_bits
        for layer in network.layers
        for op in layer.ops
        if op.weights
    }
    return {"weights": weights, "activations": activation_bits(network.layers)}


def write_format(
    name: str,
    prepared: "Prepared",
    space: Space,
    folder: Path,
    images: NDArray[np.float32],
    metadata: dict[str, str],
) -> tuple[Path | None, str | None]:
    """Writes a model in a further format; what can be run here must agree with the module.

    Args:
        name: of `FORMATS`.
        prepared: the candidate.
        space: whose kernels TVM takes.
        folder: where to.
        images: [n, 3, side, side], to compare logits on.
        metadata: of the model's ONNX file.

    Returns:
        The file, and None; or None and why there is none.
    """
    path = folder / FORMATS[name]
    quantized = any(layer.quantized for layer in prepared.layers)
    if name in _OF_QUANTIZED and not quantized:
        return None, f"{name} is for quantized models, and this one is in floating point"
    if FORMATS[name] == MODEL_FILE:
        return path, None
    try:
        if name == "torch":
            found = _torch(prepared, path, images)
        elif name == "tvm":
            _tvm(prepared.network, space, path)
            return path, None
        else:
            export_onnx(prepared.network, path, metadata, _DIALECTS[name])
            if name == "qonnx":  # Nothing here runs Quant nodes.
                return path, None
            found = _agreement(prepared, images, file_logits(path)(images))
    except HwnasError as error:
        path.unlink(missing_ok=True)
        return None, str(error)
    if not found.passed:
        path.unlink()
        return None, found.reason
    return path, None


def _agreement(prepared: "Prepared", images: NDArray[np.float32], logits: NDArray[np.float32]) -> Agreement:
    import torch

    with torch.inference_mode():
        reference = prepared.module(torch.from_numpy(images)).numpy()
    return check_agreement(reference, logits, any(layer.quantized for layer in prepared.layers))


def _torch(prepared: "Prepared", path: Path, images: NDArray[np.float32]) -> Agreement:
    """Writes the fake-quantized module as a program that torch loads without this package."""
    import torch

    from hwnas.supernet.quantize import FoldedNetwork

    some = torch.from_numpy(images[:2])
    module = FoldedNetwork(prepared.network).eval()
    for name, tensor in list(module.named_buffers()):
        # Saving wants tensors that fill their memory in the plain order.
        module.register_buffer(name, tensor.clone(memory_format=torch.contiguous_format))
    program = torch.export.export(module, (some,), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},))
    with replacing(path) as temporary:
        # torch wants the ending; the temporary name has another.
        with_ending = temporary.with_name(f"{temporary.name}.pt2")
        torch.export.save(program, with_ending)
        with_ending.replace(temporary)
    with warnings.catch_warnings():
        # torch 2.9 reads weights from memory that may not be written to, and warns of it.
        warnings.filterwarnings("ignore", "The given buffer is not writable")
        again: Any = torch.export.load(path).module()
    with torch.inference_mode():
        return _agreement(prepared, images, again(torch.from_numpy(images)).numpy())


def _tvm(network: Network, space: Space, path: Path) -> None:
    from hwnas.profilers import get_device
    from hwnas.profilers.tvm.compiled.library import has_linker

    device = get_device("cpu", space)
    reason = device.unavailable()
    if reason:
        raise InputError(f"tvm: {reason}")
    if not has_linker():  # what `cpu` then runs is no file that could be handed on
        raise InputError("tvm: a library needs a C compiler, and there is none here; apt install gcc")
    # On the same disk as the file, which then moves there whole.
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        device.build(network, Path(folder)).replace(path)


def bits_metadata(network: Network) -> dict[str, str]:
    """Returns the metadata that says the bits of each tensor; nothing for floating point."""
    bits = tensor_bits(network)
    if set(bits["weights"].values()) == {FLOAT_BITS} and not bits["activations"]:
        return {}
    return {"tensor_bits": json.dumps(bits, separators=(",", ":"))}
