"""Fingerprints: the facts that make two measurements comparable, and a digest of them."""

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

Fact = str | int

_CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Fingerprint:
    """The identity of a device: measurements are shared where all facts are equal.

    What may change from one hour to the next (governor, load, pinned core) is not among them: it
    stands in each measurement's conditions.
    """

    facts: Mapping[str, Fact]

    @cached_property
    def digest(self) -> str:
        """Sixteen hexadecimal digits of the facts, in any order."""
        text = json.dumps(dict(self.facts), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


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
