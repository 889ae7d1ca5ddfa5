"""The contract of a meter: a device made ready to measure, and what it answers."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hwnas.profilers.measurement import Failure, Measurement


@dataclass(frozen=True)
class GroupResult:
    """What came of one group of subjects: each is in one of the two, in the order given."""

    measurements: tuple[Measurement, ...]
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True)
class Canary:
    """The network whose times tell the machine's speed.

    Attributes:
        artefact: as the device builds it.
        reference_ms: its time at full speed as far as that is known; None, or a best tenth of the
            group that is clearly shorter, makes that the reference.
    """

    artefact: Path
    reference_ms: float | None = None


class Meter(ABC):
    """A device made ready to measure: for a real one, a worker process that waits for work.

    Attributes:
        parallel: how many groups it measures at once, when `measure` is called from as many
            threads: more than one where it lends several machines of one kind.
    """

    parallel: int = 1

    @abstractmethod
    def measure(self, artefacts: Mapping[str, Path], canary: Canary | None = None) -> GroupResult:
        """Returns the measurements of artefacts by subject key, their samples interleaved.

        Each subject is in the result once, measured or failed, whatever broke meanwhile. With a
        canary, times are corrected to its reference time; without one they are the clock's.
        """

    def breakdown(self, artefact: Path) -> tuple[Mapping[str, float], float] | None:
        """Returns the time in ms of each operation and of the whole; None where that cannot be told."""
        return None
