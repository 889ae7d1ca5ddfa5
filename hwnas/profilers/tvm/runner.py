"""What the measuring worker calls for compiled libraries."""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import numpy as np

from hwnas.profilers.measuring.runner import Runner

# Read when TVM's runtime loads. A pool that spins takes the core from whatever is timed next.
os.environ.setdefault("TVM_THREAD_POOL_SPIN_COUNT", "2000")


def load(path: Path, settings: Mapping[str, Any]) -> Runner:
    """Returns a runner of the library, on one fixed random image; each has a library of its own."""
    os.environ.setdefault("TVM_NUM_THREADS", str(settings["threads"]))
    return _TvmRunner(path)


@final
class _TvmRunner(Runner):
    def __init__(self, path: Path) -> None:
        import tvm
        from tvm import relax

        in_memory = path.suffix == ".json"
        self._module = _in_memory(path) if in_memory else _library(path)
        machine = relax.VirtualMachine(self._module, tvm.cpu())
        description = json.loads(str(machine["describe"]()))
        shape = description["input_shape"]
        self._x = tvm.runtime.tensor(np.random.default_rng(0).standard_normal(shape).astype(np.float32))
        # Libraries of older versions do not say what their calls are; only linked kernels can be timed alone.
        self._calls: list[str] = [] if in_memory else description.get("calls", [])
        self._main = machine["main"]

    def run(self) -> None:
        """Runs the library once."""
        self._main(self._x)

    def breakdown(self, calls: int) -> Mapping[str, float] | None:
        """Returns the median time in ms of each operation; None where it cannot tell."""
        from hwnas.profilers.tvm.breakdown import call_times_ms

        if not self._calls:
            return None
        parts: dict[str, float] = {}
        times = call_times_ms(self._module, self._x, calls)
        for name, (_, ms) in zip(self._calls, times, strict=True):
            parts[name] = parts.get(name, 0.0) + ms
        return parts


def _library(path: Path) -> Any:
    import tvm

    # Loaders keep libraries by path and file, so a second one would share the first one's memory.
    with tempfile.NamedTemporaryFile(prefix="hwnas-", suffix=path.suffix) as copy:
        shutil.copyfile(path, copy.name)
        return tvm.runtime.load_module(copy.name)


def _in_memory(path: Path) -> Any:
    # Only here: it brings much with it that linked libraries need not.
    from hwnas.profilers.tvm.compiled.in_memory import load_program

    return load_program(path)
