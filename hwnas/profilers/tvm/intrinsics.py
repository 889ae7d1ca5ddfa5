"""TVM without its slow import: what every process that uses TVM here calls first."""

import importlib
import os
import platform
import sys
import types
from pathlib import Path

from hwnas.profilers.tvm.dot import register_intrinsic

_INTRINSICS = "tvm.s_tir.tensor_intrin"


def prepare_tvm() -> None:
    """Makes this process ready to use TVM on a CPU; works in parents and in TVM's own workers.

    Importing all tensor intrinsics takes 30 to 49 s, because TVMScript looks through every loaded
    module for the source of each one. None of them is wanted, so an empty package takes the place of
    the one whose `__init__` imports them all, and the one that 8-bit kernels are built on is ours.
    """
    os.environ.setdefault("TVM_NUM_THREADS", "1")
    # A worker that spins after a call takes the core from whatever is measured next.
    os.environ.setdefault("TVM_THREAD_POOL_SPIN_COUNT", "2000")
    if _INTRINSICS in sys.modules:
        return
    parent = importlib.import_module("tvm.s_tir")
    package = types.ModuleType(_INTRINSICS)
    package.__path__ = [str(Path(str(parent.__file__)).parent / "tensor_intrin")]
    sys.modules[_INTRINSICS] = package
    parent.tensor_intrin = package  # type: ignore[attr-defined]
    if platform.machine() in ("x86_64", "AMD64"):
        register_intrinsic()
