"""What the measuring worker calls for libraries of the device `cuda`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwnas.profilers.measuring.runner import Runner
from hwnas.profilers.tvm.stateful import StatefulRunner


def load(path: Path, settings: Mapping[str, Any]) -> Runner:
    """Returns a runner of the library on the first visible GPU, timed by its clock."""
    import tvm
    from tvm import relax

    device = tvm.cuda(0)
    return StatefulRunner(relax.VirtualMachine(tvm.runtime.load_module(str(path)), device), device)
