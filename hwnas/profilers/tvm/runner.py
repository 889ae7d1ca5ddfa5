"""What the measuring worker calls for compiled libraries."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

# Read when TVM's runtime loads. A pool that spins takes the core from whatever is timed next.
os.environ.setdefault("TVM_THREAD_POOL_SPIN_COUNT", "2000")


def load(path: Path, threads: int) -> Callable[[], object]:
    """Returns a function that runs the library once, on one fixed random image.

    Loaders keep libraries by path, so no path may stand for two libraries in one process.
    """
    os.environ.setdefault("TVM_NUM_THREADS", str(threads))
    import tvm
    from tvm import relax

    machine = relax.VirtualMachine(tvm.runtime.load_module(str(path)), tvm.cpu())
    shape = json.loads(str(machine["describe"]()))["input_shape"]
    x = tvm.runtime.tensor(np.random.default_rng(0).standard_normal(shape).astype(np.float32))
    main = machine["main"]

    def run() -> None:
        main(x)

    return run
