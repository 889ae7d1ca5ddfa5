"""What the measuring worker calls for ONNX Runtime."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime


def load(path: Path, threads: int) -> Callable[[], object]:
    """Returns a function that runs the ONNX file once, on a batch of one fixed random image."""
    session = open_session(path, threads)
    rng = np.random.default_rng(0)
    (entry,), (exit_,) = session.get_inputs(), session.get_outputs()
    x = rng.standard_normal(_shape(entry.shape)).astype(np.float32)
    y = np.zeros(_shape(exit_.shape), np.float32)
    # Bound buffers: Python's conversions would add 10 % to the smallest networks.
    binding = session.io_binding()
    tensors = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in (x, y)]
    binding.bind_ortvalue_input(entry.name, tensors[0])
    binding.bind_ortvalue_output(exit_.name, tensors[1])

    def run() -> None:
        session.run_with_iobinding(binding)

    return run


def open_session(model: Path | bytes, threads: int, spinning: bool = True) -> onnxruntime.InferenceSession:
    """Returns a session as it is measured and as it should be deployed: sequential, all optimizations.

    Args:
        model: an ONNX file, or its bytes.
        threads: that share an operation.
        spinning: whether they wait for the next one awake, which is ONNX Runtime's own default.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    if not spinning:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def _shape(shape: list[int | str]) -> list[int]:
    """One image where the batch is open."""
    return [size if isinstance(size, int) else 1 for size in shape]
