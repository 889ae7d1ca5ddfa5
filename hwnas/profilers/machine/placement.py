"""Where and how a runtime of this machine runs networks."""

from dataclasses import dataclass
from typing import Literal

from hwnas.profilers.machine.fingerprint import Fact
from hwnas.profilers.machine.gpu import NO_GPU, gpu
from hwnas.profilers.machine.processor import processor_facts

Provider = Literal["cpu", "cuda"]


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Processor or GPU, and how much of it.

    Attributes:
        provider: `cpu`, or `cuda` for the first visible GPU.
        threads: of this machine's processor.
        batch: images that run together.
        cores: that the threads are pinned to; None leaves the choice to the meter, which takes the
            last ones.
    """

    provider: Provider = "cpu"
    threads: int = 1
    batch: int = 1
    cores: tuple[int, ...] | None = None

    def unavailable(self) -> str | None:
        """Returns why there is no such place here; None if there is."""
        return NO_GPU if self.provider == "cuda" and gpu() is None else None

    def facts(self) -> dict[str, Fact]:
        """Returns what measurements depend on; pinned cores where they were chosen."""
        found: dict[str, Fact] = {"threads": self.threads, "batch": self.batch}
        if self.cores is not None:
            found["cores"] = ",".join(map(str, self.cores))
        if self.provider == "cuda":
            card = gpu()
            assert card, "the caller has asked whether it is usable"
            found |= {
                "provider": "cuda",
                "gpu": card.name,
                "gpu_arch": card.arch,
                "driver_version": card.driver,
            }
        return {**found, **processor_facts()}
