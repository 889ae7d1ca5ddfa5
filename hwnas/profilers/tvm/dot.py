"""The dot product instruction of AVX512-VNNI, as TVM knows it in a process where it is registered."""

NAME = "hwnas.dot_16x4_u8s8"
"""The tensor intrinsic, for schedules to ask for."""

_DESCRIPTION = """
@T.prim_func(s_tir=True)
def description(
    A: T.Buffer((4,), "uint8", offset_factor=1),
    B: T.Buffer((16, 4), "int8", offset_factor=1),
    C: T.Buffer((16,), "int32", offset_factor=1),
) -> None:
    with T.sblock("root"):
        T.reads(C[0:16], A[0:4], B[0:16, 0:4])
        T.writes(C[0:16])
        for i, k in T.grid(16, 4):
            with T.sblock("update"):
                vi, vk = T.axis.remap("SR", [i, k])
                C[vi] = C[vi] + T.cast(A[vk], "int32") * T.cast(B[vi, vk], "int32")
"""
# TVM's own has operands of 32-bit integers, which LLVM takes no more: it wants what they stand for.
_IMPLEMENTATION = """
@T.prim_func(s_tir=True)
def implementation(
    A: T.Buffer((4,), "uint8", offset_factor=1),
    B: T.Buffer((16, 4), "int8", offset_factor=1),
    C: T.Buffer((16,), "int32", offset_factor=1),
) -> None:
    with T.sblock("root"):
        T.reads(C[0:16], A[0:4], B[0:16, 0:4])
        T.writes(C[0:16])
        C[T.ramp(T.int32(0), 1, 16)] = T.call_llvm_pure_intrin(
            T.llvm_lookup_intrinsic_id("llvm.x86.avx512.vpdpbusd.512"),
            C.vload([0], dtype="int32x16"),
            T.reinterpret(
                T.broadcast(T.reinterpret(A.vload([0], dtype="uint8x4"), dtype="int32"), 16),
                dtype="uint8x64",
            ),
            B.vload([0, 0], dtype="int8x64"),
            dtype="int32x16",
        )
"""


def register_intrinsic() -> None:
    """Makes the instruction known to TVM in this process, under a name of ours.

    TVMScript reads it from text: from a function's source it would look through all loaded modules.
    """
    import tvm.script
    from tvm.s_tir import TensorIntrin
    from tvm.script import tirx

    description, implementation = (
        tvm.script.from_source(text, {"T": tirx}) for text in (_DESCRIPTION, _IMPLEMENTATION)
    )
    TensorIntrin.register(NAME, description, implementation, override=True)
