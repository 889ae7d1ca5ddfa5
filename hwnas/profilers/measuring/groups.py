"""Groups of artefacts that are measured together: one after the other, or side by side where a meter can."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, replace
from pathlib import Path

from hwnas.errors import MeasurementError
from hwnas.profilers.measurement import Failure
from hwnas.profilers.measuring.meter import Canary, GroupResult, Meter
from hwnas.profilers.measuring.protocol import Protocol
from hwnas.progress import Stopped


@dataclass(frozen=True)
class Group:
    """Artefacts that are measured together.

    Attributes:
        subjects: their keys, one may stand twice.
        artefacts: by subject key.
        folder: where they lie, if they are only there to be measured.
    """

    subjects: list[str]
    artefacts: dict[str, Path]
    folder: Path | None = None

    def clear(self) -> None:
        """Removes what was only there to be measured."""
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)


def failed(device: str, failures: list[Failure]) -> MeasurementError:
    """Returns the error for subjects that could not be measured; it names the first few."""
    shown = "; ".join(f"{one.subject[:10]}: {one.reason}" for one in failures[:3])
    more = f" (and {len(failures) - 3} more)" if len(failures) > 3 else ""
    return MeasurementError(f"device '{device}' failed on {len(failures)} of its subjects: {shown}{more}")


def results_of(
    groups: Iterator[Group], meter: Meter, built_canary: Callable[[], Canary | None], pool: Executor
) -> Iterator[tuple[Group, GroupResult]]:
    """Yields each group with its result, as they are done; as many are measured at once as the meter can.

    Groups are built while others are measured only where the meter asks for several: a build
    disturbs what is measured on the same machine. Stopped, thrown into it, has it take no more.
    """
    running: dict[Future[GroupResult], Group] = {}
    reference_ms: float | None = None
    stopped: Stopped | None = None
    try:
        for group in groups:
            canary = built_canary()
            if canary and canary.reference_ms is None:
                canary = replace(canary, reference_ms=reference_ms)
            if meter.parallel == 1 or (canary and canary.reference_ms is None):
                result = meter.measure(group.artefacts, canary)
                yield group, result
                if reference_ms is None and result.measurements:
                    reference_ms = result.measurements[0].canary_reference_ms
                continue
            running[pool.submit(meter.measure, group.artefacts, canary)] = group
            if len(running) >= meter.parallel:
                yield from _finished(running)
    except Stopped as wish:
        stopped = wish
    while running:
        try:
            yield from _finished(running)
        except Stopped as wish:
            stopped = wish
    if stopped:
        raise stopped


def _finished(running: dict[Future[GroupResult], Group]) -> Iterator[tuple[Group, GroupResult]]:
    """Waits for at least one; takes those that are done."""
    for future in wait(running, return_when=FIRST_COMPLETED).done:
        yield running.pop(future), future.result()


def parted(artefacts: Mapping[str, Path], protocol: Protocol) -> Iterator[Group]:
    """Yields groups of artefacts, in order, each as large as the protocol has them."""
    group: dict[str, Path] = {}
    size_bytes = 0
    for subject, path in artefacts.items():
        if group and (len(group) >= protocol.group_size or size_bytes >= protocol.group_bytes):
            yield Group(list(group), group)
            group, size_bytes = {}, 0
        group[subject] = path
        size_bytes += path.stat().st_size if path.exists() else 0
    if group:
        yield Group(list(group), group)
