"""What the measuring worker calls for ONNX Runtime."""

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import numpy as np
import onnxruntime

from hwnas.errors import UnavailableError
from hwnas.files import temporary_folder
from hwnas.profilers.measuring.runner import Runner

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
# A new session's first calls are slow.
_WARMUP_CALLS = 3


def load(path: Path, settings: Mapping[str, Any]) -> Runner:
    """Returns a runner of the ONNX file, on a batch of one fixed random input.

    Settings, beside `threads`: `batch`, and `provider`, cpu or cuda.
    """
    return _OrtRunner(path, settings["threads"], settings["provider"], settings["batch"])


@final
class _OrtRunner(Runner):
    def __init__(self, path: Path, threads: int, provider: str, batch: int) -> None:
        self._options = path, threads, provider
        self._batch = batch
        self._session = open_session(path, threads, provider=provider)
        # The binding reads and writes their memory, and does not hold it.
        self._binding, self._values = self._bound(self._session)

    def run(self) -> None:
        """Runs the session once; a GPU is waited for."""
        self._session.run_with_iobinding(self._binding)
        self._binding.synchronize_outputs()

    def breakdown(self, calls: int) -> Mapping[str, float] | None:
        """Returns the mean ms of each node that ran, by ONNX Runtime's own profile.

        Nodes are those of the optimized graph: what was fused has the name of one of its parts.
        """
        path, threads, provider = self._options
        with temporary_folder() as folder:
            session = open_session(path, threads, provider=provider, profile=folder / "profile")
            binding, _held = self._bound(session)
            for _ in range(_WARMUP_CALLS + calls):
                session.run_with_iobinding(binding)
            events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
        spent_us: dict[str, list[float]] = defaultdict(list)
        for event in events:
            if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
                spent_us[event["name"].removesuffix("_kernel_time")].append(event["dur"])
        return {name: sum(times[-calls:]) / calls / 1e3 for name, times in spent_us.items()}

    def _bound(self, session: onnxruntime.InferenceSession) -> tuple[Any, list[onnxruntime.OrtValue]]:
        """A binding of input and output, and the values bound, which must live as long as it is used.

        Python's conversions would add 10 % to the smallest networks.
        """
        where = self._options[2]
        (entry,), (exit_,) = session.get_inputs(), session.get_outputs()
        x = np.random.default_rng(0).standard_normal(self._shape(entry.shape)).astype(np.float32)
        y = np.zeros(self._shape(exit_.shape), np.float32)
        binding = session.io_binding()
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(one, where, 0) for one in (x, y)]
        binding.bind_ortvalue_input(entry.name, values[0])
        binding.bind_ortvalue_output(exit_.name, values[1])
        return binding, values

    def _shape(self, shape: list[int | str]) -> list[int]:
        """The batch, where the file leaves it open."""
        return [size if isinstance(size, int) else self._batch for size in shape]


def open_session(
    model: Path | bytes,
    threads: int,
    spinning: bool = True,
    provider: str = "cpu",
    profile: Path | None = None,
) -> onnxruntime.InferenceSession:
    """Returns a session as it is measured and as it should be deployed: sequential, all optimizations.

    Args:
        model: an ONNX file, or its bytes.
        threads: that share an operation.
        spinning: whether they wait for the next one awake, which is ONNX Runtime's own default.
            They fall asleep when a run ends, so that they do not take a core from what runs next.
        provider: cpu or cuda.
        profile: how the file begins that the session's profile is written to; None takes none.

    Raises:
        UnavailableError: this ONNX Runtime, or this machine, lacks the provider.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if not spinning:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if profile:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    wanted = _PROVIDERS[provider]
    source = model if isinstance(model, bytes) else str(model)
    if wanted in onnxruntime.get_available_providers():
        session = onnxruntime.InferenceSession(source, options, providers=[wanted])
        # It would go on with the processor where the provider does not start.
        if session.get_providers()[0] == wanted:
            return session
    raise UnavailableError(f"ONNX Runtime must run on {wanted}, but it does not start here; see its messages")
