"""The contract of a runner: an artefact loaded in the process that measures.

A runner module has a function `load(path: Path, settings: Mapping[str, Any]) -> Runner`. It is
imported by the measuring worker alone and imports its runtime; nothing else imports it. `settings`
is JSON that the device chose; it always has `threads`.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping


class Runner(ABC):
    """A network in memory, with an input of its own."""

    @abstractmethod
    def run(self) -> None:
        """Runs the network once on its input and waits until the result is there."""

    def time_ms(self, calls: int) -> float:
        """Returns the mean time of so many calls in a row, in ms, by the clock that fits the device."""
        run = self.run
        start = time.perf_counter_ns()
        for _ in range(calls):
            run()
        return (time.perf_counter_ns() - start) / calls / 1e6

    def breakdown(self, calls: int) -> Mapping[str, float] | None:
        """Returns the mean time in ms of each operation over so many calls; None where it cannot tell.

        Names begin with the `LAYER.OP` they stand for; others are what the runtime adds.
        """
        return None

    def conditions(self) -> Mapping[str, str | int | float]:
        """Returns facts of the machine that runs it, where that is not this one; nothing otherwise."""
        return {}
