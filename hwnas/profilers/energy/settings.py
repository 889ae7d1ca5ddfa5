"""How energy is measured: the fields of a device file's `energy:` part, and a knob of the protocol."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

MeterName = Literal["auto", "rapl", "nvml", "hwmon"]

_SHORTEST_MS, _LONGEST_MS = 1.0, 1000.0


@dataclass(frozen=True, kw_only=True)
class EnergySettings:
    """Which meter, what of it, and for how long.

    Attributes:
        meter: `auto` takes the first that is usable here.
        index: of the GPU as NVML counts them (nvml); None takes the first of CUDA_VISIBLE_DEVICES,
            without it the first.
        rails: which rails to add up (hwmon): `CHIP/LABEL` or `CHIP`, with `*` for anything.
        boundary: what those rails feed, for people.
        window_s: the length of a window in which the network runs all the time; None takes the
            shortest that makes sense for the meter.
        repeats: windows of each network; their scatter is the `cv_percent` of the result.
        subtract_idle: takes off what the machine uses while nothing runs.
        interval_ms: from one reading to the next of meters that tell power, not energy.
        constants: a file of the model of energy, for `--energy modelled`; None takes the built-in one.
        sysfs: where it is mounted; in a container the host's may be elsewhere.
    """

    # pydantic, which reads device files, refuses unknown fields by it.
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    meter: MeterName = "auto"
    index: int | None = None
    rails: tuple[str, ...] = ()
    boundary: str = ""
    window_s: float | None = None
    repeats: int = 3
    subtract_idle: bool = True
    interval_ms: float = 50.0
    constants: str | None = None
    sysfs: str = "/sys"

    def __post_init__(self) -> None:
        """Raises ValueError, which pydantic turns into the error of a field, for what cannot be."""
        if self.index is not None and self.index < 0:
            raise ValueError(f"index must be 0 or more, but got {self.index}")
        if self.window_s is not None and not 0 < self.window_s < math.inf:
            raise ValueError(f"window_s must be above 0, but got {self.window_s}")
        if self.repeats < 2:
            raise ValueError(f"repeats must be at least 2, to know their scatter, but got {self.repeats}")
        if not _SHORTEST_MS <= self.interval_ms <= _LONGEST_MS:
            raise ValueError(
                f"interval_ms must be from {_SHORTEST_MS:g} to {_LONGEST_MS:g}, but got {self.interval_ms}"
            )
