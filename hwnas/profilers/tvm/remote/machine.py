"""What a server's processor is: asked from the server where its TVM can tell."""

import platform
import re
from dataclasses import dataclass

from hwnas.errors import UnavailableError
from hwnas.profilers.machine.processor import LEVELS
from hwnas.profilers.tvm.compiled.cross import machine_of
from hwnas.profilers.tvm.remote.tracker import SCHEME, Address, lend
from hwnas.profilers.tvm.target import Target, targets_here

# LLVM's names of flags that Linux calls otherwise.
_LLVM_NAMES = {
    "abm": "lzcnt",
    "bmi1": "bmi",
    "lahf_lm": "sahf",
    "pni": "sse3",
    "sse4_1": "sse4.1",
    "sse4_2": "sse4.2",
}
_ASK_S = 20.0
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")


@dataclass(frozen=True)
class RemoteMachine:
    """The processor of a server, as its own LLVM names it.

    Attributes:
        cpu: such as `cortex-a72` or `znver4`.
        triple: such as `aarch64-linux-gnu`.
    """

    cpu: str
    triple: str

    @property
    def machine(self) -> str:
        """Such as `aarch64`."""
        return machine_of(self.triple)

    def targets(self, threads: int) -> list[Target]:
        """Returns what kernels for it may be compiled for, best first."""
        if self.machine == "x86_64":
            return targets_here(threads, _flags(self.cpu))
        return [Target(mcpu=self.cpu, triple=f"{self.machine}-linux-gnu", threads=threads)]


def ask(address: Address) -> RemoteMachine | None:
    """Returns what the next free server says that it is; None where it cannot, being without LLVM.

    Raises:
        UnavailableError: no server answers, it does not run Linux, or says what is no name.
    """
    remote = lend(address, _ASK_S, session_s=_ASK_S).session
    try:
        cpu = str(remote.get_function("target.llvm_get_system_cpu")())
        triple = str(remote.get_function("target.llvm_get_system_triple")())
    except AttributeError:
        return None
    for said in (cpu, triple):  # they become names of folders, and words for a compiler
        if not _PLAIN.fullmatch(said):
            raise UnavailableError(
                f"a server of {SCHEME}{address} names its processor {said[:60]!r}, which is no plain name; "
                "connect only to servers that you trust"
            )
    if "linux" not in triple:
        raise UnavailableError(f"servers must run Linux, but one of {SCHEME}{address} says '{triple}'")
    return RemoteMachine(cpu, triple)


def device_file(address: Address) -> str:
    """Returns the lines that describe servers which cannot say what they are, for one line of text."""
    return (
        "name: NAME; runtime: tvm; "
        f"rpc: {{host: {address.host}, port: {address.port}, key: {address.key}}}; "
        "target: {kind: llvm, mcpu: cortex-a72, triple: aarch64-linux-gnu}"
    )


def here(triple: str) -> bool:
    """Returns whether a triple is of this machine's architecture; an empty one is."""
    return not triple or machine_of(triple) == machine_of(platform.machine())


def _flags(cpu: str) -> frozenset[str]:
    """The x86-64 flags that LLVM knows a processor to have, as Linux names them."""
    import tvm

    has = tvm.get_global_func("target.llvm_cpu_has_feature")
    target = Target(mcpu=cpu).to_tvm()
    flags = frozenset[str]().union(*LEVELS.values())
    return frozenset(flag for flag in flags if has(_LLVM_NAMES.get(flag, flag), target))
