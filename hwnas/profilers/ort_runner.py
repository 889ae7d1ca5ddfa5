"""What the measuring worker calls for ONNX Runtime."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import numpy as np
import onnxruntime

from hwnas.profilers.runner import Runner


def load(path: Path, settings: Mapping[str, Any]) -> Runner:
    """Returns a runner of the ONNX file, on a batch of one fixed random image."""
    return _OrtRunner(open_session(path, settings["threads"]))


@final
class _OrtRunner(Runner):
    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        rng = np.random.default_rng(0)
        (entry,), (exit_,) = session.get_inputs(), session.get_outputs()
        x = rng.standard_normal(_shape(entry.shape)).astype(np.float32)
        y = np.zeros(_shape(exit_.shape), np.float32)
        # Bound buffers: Python's conversions would add 10 % to the smallest networks.
        self._session = session
        self._binding = session.io_binding()
        self._tensors = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in (x, y)]
        self._binding.bind_ortvalue_input(entry.name, self._tensors[0])
        self._binding.bind_ortvalue_output(exit_.name, self._tensors[1])

    def run(self) -> None:
        """Runs the session once."""
        self._session.run_with_iobinding(self._binding)


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
