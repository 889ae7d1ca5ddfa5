"""What each kernel call of a compiled network takes, and which operation of the chain it is."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from hwnas.profilers.tvm.kernels.plan import Step
from hwnas.spaces import Layer
from hwnas.spaces.network import weight_shape

# Windows of so many of the shortest calls are compared with what their kernels take by themselves.
_CALIBRATED = 5
_CALIBRATION_CALLS = 20


def step_ops(layer: Layer, steps: Sequence[Step]) -> list[str]:
    """Returns the name of the operation that each step of a layer computes, fused ones under the first.

    A step with weights is the operation that owns them. One without is the operation that follows
    the last one with weights: no two without stand side by side in any layer.
    """
    names = [op.name for op in layer.ops]
    weighted = [op for op in layer.ops if weight_shape(op)]
    owners = [op.name for op in weighted for _ in range(1 + op.bias)]
    found: list[str] = []
    last = -1
    for step in steps:
        owned = [owners[int(name[1:])] for name in step.arguments if name[0] == "w"]
        if owned:
            last = names.index(owned[0])
            found.append(owned[0])
        else:
            found.append(names[min(last + 1, len(names) - 1)])
    return found


def call_times_ms(module: Any, image: Any, calls: int) -> list[tuple[str, float]]:
    """Returns the kernel and the median time in ms of each kernel call of `main`, in their order.

    The virtual machine tells when a call begins and ends, each kernel in its place between the
    others. What telling costs is measured on the shortest calls, whose kernels are also timed from
    within the library, and taken off.

    Args:
        module: a library that `export` wrote, loaded.
        image: its input.
        calls: runs of `main` that the medians are over.
    """
    import tvm
    from tvm import relax

    clock = time.perf_counter_ns
    library = module.imports[0]
    begun: list[tuple[str, list[Any]]] = []
    windows: list[float] = []

    def hook(function: Any, name: str, before: bool, result: Any, *arguments: Any) -> None:
        # Reading the clock comes last before the call and first after it.
        if before:
            begun.append((name, list(arguments)))
            windows.append(-clock())
        else:
            windows[-1] += clock()

    machine = relax.VirtualMachine(module, tvm.cpu())
    machine.set_instrument(hook)
    main = machine["main"]
    rows = []
    for _ in range(calls + 1):
        begun.clear()
        windows.clear()
        main(image)
        rows.append(list(windows))
    kernels = [i for i, (name, _) in enumerate(begun) if not name.startswith("vm.builtin.")]
    medians_ms = np.median(np.array(rows[1:]), axis=0)[kernels] / 1e6
    telling_ms = []
    for at in np.argsort(medians_ms)[:_CALIBRATED]:
        name, arguments = begun[kernels[at]]
        timed = library.time_evaluator(name, tvm.cpu(), number=_CALIBRATION_CALLS, repeat=5)(*arguments)
        telling_ms.append(medians_ms[at] - timed.median * 1e3)
    cost_ms = max(0.0, float(np.median(telling_ms)))
    return [(begun[i][0], max(0.0, float(ms) - cost_ms)) for i, ms in zip(kernels, medians_ms, strict=True)]
