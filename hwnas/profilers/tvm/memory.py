"""Peak memory of compiled subnets: the storages that calls share, and what kernels allocate themselves."""

import math
from collections.abc import Sequence
from typing import Any

from hwnas.profilers.memory import PlannedMemory
from hwnas.profilers.tvm.assemble import calls_of, place_values
from hwnas.profilers.tvm.intrinsics import prepare_tvm
from hwnas.profilers.tvm.library import Library
from hwnas.spaces import Layer

_FLOAT_BYTES = 4


def planned_memory(layers: Sequence[Layer], library: Library) -> PlannedMemory:
    """Returns the memory of a whole network, whose image and logits are float32.

    Raises:
        InputError: a layer the library has no kernels for.
    """
    calls = calls_of(layers, library.plan)
    _, _, sizes = place_values(calls)
    return PlannedMemory(
        image_bytes=_FLOAT_BYTES * layers[0].in_channels * layers[0].in_size_px ** 2,
        map_bytes=sum(sizes),
        output_bytes=_FLOAT_BYTES * math.prod(calls[-1].out_shape),
        workspace_bytes=max(library.kernels[call.kernel].workspace_bytes for call in calls),
    )


def workspace_bytes(scheduled: Any, target: Any) -> int:
    """Returns the bytes that a kernel allocates while it runs, on the stack or off it, in one thread.

    Args:
        scheduled: an IRModule whose one function has its schedule applied.
        target: TVM's target.
    """
    prepare_tvm()
    import tvm
    from tvm import s_tir, tirx

    # As in TVM's own pipeline, as far as allocations have their places and share what they can.
    passes = [
        s_tir.transform.CanonicalizeLoop(),
        s_tir.transform.LowerInitBlock(),
        s_tir.transform.PlanAndUpdateBufferAllocationLocation(),
        s_tir.transform.ConvertBlocksToOpaque(),
        s_tir.transform.CompactBufferAllocation(),
        s_tir.transform.LowerMatchBuffer(),
        s_tir.transform.LowerOpaqueBlock(),
        tirx.transform.FlattenBuffer(),
        tirx.transform.VectorizeLoop(True),
        tirx.transform.StorageRewrite(),
    ]
    with target:
        lowered = tvm.transform.Sequential(passes)(scheduled)
    counted = s_tir.analysis.calculate_allocated_bytes(lowered)
    return max(int(scopes.get("global", 0)) for scopes in counted.values())
