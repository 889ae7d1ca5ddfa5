"""How far measurements can be trusted together: how many are stable, and how far drift was corrected."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hwnas.profilers.measurement import Measurement

# As few as a predictor can be fitted on.
_FEWEST = 3


@dataclass(frozen=True)
class Spread:
    """The least, the median and the largest of some values, in their unit."""

    least: float
    median: float
    largest: float

    @staticmethod
    def of(values: Iterable[float | None]) -> "Spread | None":
        """Returns the spread of the values that are not None; None where there are none."""
        known = sorted(value for value in values if value is not None)
        return Spread(known[0], statistics.median(known), known[-1]) if known else None

    def to_json(self) -> dict[str, float]:
        """Returns the fields as a JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class Stability:
    """How many measurements are stable.

    Attributes:
        stable, unstable: how many are.
        drift_corrected_percent: by how much latencies were corrected for the drift of the machine;
            None where none was, such as on a simulated device.
        first_reason: why the first unstable one is; None where none says.
    """

    stable: int
    unstable: int
    drift_corrected_percent: Spread | None
    first_reason: str | None

    @staticmethod
    def of(measurements: Sequence[Measurement]) -> "Stability":
        """Returns how many of the measurements are stable."""
        reasons = [one.reasons[0] for one in measurements if one.verdict == "unstable" and one.reasons]
        stable = sum(one.verdict == "stable" for one in measurements)
        return Stability(
            stable=stable,
            unstable=len(measurements) - stable,
            drift_corrected_percent=Spread.of(
                100 * abs(one.raw_latency_ms / one.latency_ms - 1)
                for one in measurements
                if one.raw_latency_ms is not None
            ),
            first_reason=reasons[0] if reasons else None,
        )

    def to_json(self) -> dict[str, Any]:
        """Returns the fields as a JSON object."""
        return asdict(self)


def steady_rows(measurements: Sequence[Measurement]) -> list[int]:
    """Returns which measurements a predictor is fitted on: the stable ones where most are, else all.

    The few that are not may be off by a multiple, since something else ran; they are shown and stored.
    """
    stable = [row for row, one in enumerate(measurements) if one.verdict == "stable"]
    most = 2 * len(stable) > len(measurements) and len(stable) >= _FEWEST
    return stable if most else list(range(len(measurements)))
