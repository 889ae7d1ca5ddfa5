"""What this machine's processor is."""

import hashlib
import os
import platform
from pathlib import Path

from hwnas.profilers.machine.fingerprint import Fact

_CPUINFO = Path("/proc/cpuinfo")

# What each x86-64 level adds, as Linux names it (System V ABI for x86-64, table 3.1); best first.
LEVELS = {
    "x86-64-v4": frozenset({"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}),
    "x86-64-v3": frozenset({"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"}),
    "x86-64-v2": frozenset({"cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"}),
}

# Vendor and family of processors whose data path for multiplications is 512 bits wide, with their
# models: of Zen 5, servers and desktops; its laptops have one of 256 (AMD publication 58455).
_WHOLE_VECTORS = {("AuthenticAMD", "26"): (range(0x20), range(0x40, 0x50))}


def levels_here(features: frozenset[str] | None = None) -> list[str]:
    """Returns the x86-64 levels that a processor runs, best first; none on other machines.

    Args:
        features: the processor's flags as in /proc/cpuinfo; None reads this machine's.
    """
    if features is None:
        features = processor_features()
    levels: list[str] = []
    needed: frozenset[str] = frozenset()
    for level in reversed(LEVELS):
        needed |= LEVELS[level]
        if needed <= features:
            levels.insert(0, level)
    return levels


def cores_here() -> list[int]:
    """Returns the numbers of the cores that this process may use, ascending."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def processor_features() -> frozenset[str]:
    """Returns the flags of this machine's processor; empty where it is not an x86-64 one on Linux."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return frozenset()
    return frozenset(_cpuinfo().get("flags", "").split())


def runs_whole_vectors(family: str | None = None) -> bool:
    """Returns whether a processor is known to multiply vectors of 512 bits in one go.

    Others with AVX-512 take two steps for one, or were not measured: filling up vectors gains
    nothing there.

    Args:
        family: as `processor_family` gives it; None takes this machine's.
    """
    vendor, number, model = (family or processor_family()).rsplit("-", 2)
    known = _WHOLE_VECTORS.get((vendor, number), ())
    return model.isdecimal() and any(int(model) in models for models in known)


def processor_family() -> str:
    """Returns the processor's vendor, family and model, such as `AuthenticAMD-25-17`."""
    info = _cpuinfo()
    return "-".join(info.get(name) or "unknown" for name in ("vendor_id", "cpu family", "model"))


def processor_facts() -> dict[str, Fact]:
    """Returns what is known of this machine's processor: model and a digest of its instruction sets."""
    info = _cpuinfo()
    model = info.get("model name") or platform.processor() or platform.machine()
    numbers = "/".join(info.get(key, "?") for key in ("cpu family", "model", "stepping"))
    flags = " ".join(sorted((info.get("flags") or info.get("Features") or "").split()))
    return {
        "machine": platform.machine(),
        "cpu": f"{model} ({numbers})" if "model" in info else model,
        "isa": hashlib.sha256(flags.encode()).hexdigest()[:8],
    }


def _cpuinfo() -> dict[str, str]:
    """The fields of the first processor; empty where the system has no such file."""
    try:
        first = _CPUINFO.read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}
