"""Several servers of one kind at work: each has a worker here, which measures group after group."""

import queue
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import final

from hwnas.profilers.measuring.meter import Canary, GroupResult, Meter


@contextmanager
def farm(workers: Sequence[AbstractContextManager[Meter]]) -> Iterator[Meter]:
    """Yields a meter that measures as many groups at once as there are workers."""
    with ExitStack() as stack:
        yield _FarmMeter([stack.enter_context(one) for one in workers])


@final
class _FarmMeter(Meter):
    """Lends each call a worker that is idle.

    A worker holds a server for one group, and the tracker hands servers out in turn. So a worker
    whose server died gets the next one that is free, be it new or another worker's.
    """

    def __init__(self, meters: Sequence[Meter]) -> None:
        self.parallel = len(meters)
        self._idle: queue.SimpleQueue[Meter] = queue.SimpleQueue()
        for meter in meters:
            self._idle.put(meter)

    def measure(self, artefacts: Mapping[str, Path], canary: Canary | None = None) -> GroupResult:
        """Returns the measurements of a group, all by one worker unless it loses its server."""
        meter = self._idle.get()
        try:
            return meter.measure(artefacts, canary)
        finally:
            self._idle.put(meter)

    def breakdown(self, artefact: Path) -> tuple[Mapping[str, float], float] | None:
        """Returns what one of the servers says."""
        meter = self._idle.get()
        try:
            return meter.breakdown(artefact)
        finally:
            self._idle.put(meter)
