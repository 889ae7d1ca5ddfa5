"""What the measuring worker calls for compiled libraries."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import numpy as np

from hwnas.profilers.runner import Runner

# Read when TVM's runtime loads. A pool that spins takes the core from whatever is timed next.
os.environ.setdefault("TVM_THREAD_POOL_SPIN_COUNT", "2000")


def load(path: Path, settings: Mapping[str, Any]) -> Runner:
    """Returns a runner of the library, on one fixed random image.

    Loaders keep libraries by path, so no path may stand for two libraries in one process.
    """
    os.environ.setdefault("TVM_NUM_THREADS", str(settings["threads"]))
    return _TvmRunner(path)


@final
class _TvmRunner(Runner):
    def __init__(self, path: Path) -> None:
        import tvm
        from tvm import relax

        machine = relax.VirtualMachine(tvm.runtime.load_module(str(path)), tvm.cpu())
        shape = json.loads(str(machine["describe"]()))["input_shape"]
        self._x = tvm.runtime.tensor(np.random.default_rng(0).standard_normal(shape).astype(np.float32))
        self._main = machine["main"]

    def run(self) -> None:
        """Runs the library once."""
        self._main(self._x)
