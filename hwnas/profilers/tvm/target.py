"""What kernels are compiled for."""

from dataclasses import dataclass
from typing import Any, Literal

from hwnas.profilers.machine.processor import levels_here
from hwnas.profilers.tvm.intrinsics import prepare_tvm


@dataclass(frozen=True)
class Target:
    """A processor as compilers know it, and the threads that a kernel may use.

    Attributes:
        kind: whose code generator: LLVM's or CUDA's.
        mcpu: LLVM's name of the processor, such as `x86-64-v4` or `cortex-a72`; a GPU's architecture,
            such as `sm_80`.
        triple: LLVM's name of machine and system, such as `aarch64-linux-gnu`; empty for this machine's.
        threads: that a kernel's loops may be shared out to.
    """

    kind: Literal["llvm", "cuda"] = "llvm"
    mcpu: str = "x86-64"
    triple: str = ""
    threads: int = 1

    @property
    def name(self) -> str:
        """Such as `x86-64-v4`, `x86-64-v4-2t`, `cuda-sm_80` or `aarch64-generic`; fit for file names."""
        if self.kind == "cuda":
            return f"cuda-{self.mcpu}"
        machine = f"{self.triple.split('-')[0]}-" if self.triple and self.mcpu == "generic" else ""
        return f"{machine}{self.mcpu}" + (f"-{self.threads}t" if self.threads > 1 else "")

    def to_tvm(self) -> Any:
        """Returns TVM's own target."""
        prepare_tvm()
        import tvm

        if self.kind == "cuda":
            return tvm.target.Target({"kind": "cuda", "arch": self.mcpu}, host={"kind": "llvm"})
        value = {"kind": "llvm", "mcpu": self.mcpu, "num-cores": self.threads}
        return tvm.target.Target({**value, **({"mtriple": self.triple} if self.triple else {})})


def targets_here(threads: int = 1, features: frozenset[str] | None = None) -> list[Target]:
    """Returns what a processor's kernels may be compiled for, best first; none where it is no x86-64-v2.

    Args:
        threads: that a kernel may use.
        features: the processor's flags as in /proc/cpuinfo; None reads this machine's.
    """
    return [Target(mcpu=level, threads=threads) for level in levels_here(features)]
