"""What a kernel allocates itself while it runs."""

from typing import Any

from hwnas.profilers.tvm.intrinsics import prepare_tvm


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
