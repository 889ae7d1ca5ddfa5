"""What `hwnas profile` is asked to do."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Request:
    """The options of the command that say what to measure and where to put it.

    Attributes:
        device, space: as the user named them.
        samples: networks to measure.
        bits: bitwidths to draw from; () for all that the device runs.
        budget_s: no new group is begun after this time.
        energy: `measured` or `modelled`; None takes none.
        table_out: where to write the block table.
        store: the measurement store; None for the usual one.
        again: measure anew what the store knows.
        seed: of the sample and of the fit.
    """

    device: str
    space: str
    samples: int
    bits: tuple[int, ...] = ()
    budget_s: float | None = None
    energy: str | None = None
    table_out: Path | None = None
    store: Path | None = None
    again: bool = False
    seed: int = 0
