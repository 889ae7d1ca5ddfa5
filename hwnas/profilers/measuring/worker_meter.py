"""The meter of real devices: a worker process that measures, and what happens when it breaks."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.errors import MeasurementError
from hwnas.profilers.machine.fingerprint import Fingerprint
from hwnas.profilers.measurement import Failure, Measurement
from hwnas.profilers.measuring.meter import Canary, GroupResult, Meter
from hwnas.profilers.measuring.protocol import Counted, Protocol, verdict
from hwnas.profilers.measuring.statistics import summary
from hwnas.profilers.measuring.worker_process import WorkerLostError, WorkerProcess

# TVM closes no library that it has opened: a worker that has loaded so much gives way to a fresh one,
# before memory, the room of deleted copies or the system's number of mappings runs out.
_LOADS_MOST = 2000
_LOADED_BYTES_MOST = 2 << 30


@contextmanager
def worker_meter(
    device: str,
    runner: str,
    fingerprint: Fingerprint,
    protocol: Protocol,
    *,
    threads: int = 1,
    settings: Mapping[str, Any] | None = None,
    cores: list[int] | None = None,
    conditions: Mapping[str, str | int] | None = None,
    load_s: float = 0.0,
    reload: bool = False,
) -> Iterator[Meter]:
    """Yields a meter whose worker process lives as long as the context.

    Args:
        device: the name written into measurements.
        runner: the name of a runner module, see `hwnas.profilers.measuring.runner`.
        fingerprint: of the device.
        protocol: how to measure.
        threads: threads that the artefact runs on.
        settings: further JSON for the runner's `load`, beside `threads`. With `"torch": true` the
            worker may import torch; otherwise it is kept out, since it disturbs. With
            `"here": false` the artefact runs on another machine: the conditions of this one are
            left out, and what else runs here is no disturbance.
        cores: where to pin the worker; None takes the last `threads` cores this process may use,
            an empty list pins nothing.
        conditions: further facts for each measurement, such as the pack in use.
        load_s: how long the loading of an artefact may take without a word, where that is longer
            than the protocol's silence: for runtimes that compile as they load.
        reload: whether artefacts are loaded as often as the protocol says, or once.
    """
    cores = _last_cores(threads) if cores is None else cores
    worker = WorkerProcess(runner, cores, {**(settings or {}), "threads": threads, "reload": reload}, load_s)
    try:
        loads = protocol.loads if reload else 1
        facts = {"threads": threads, **(conditions or {})}
        yield _WorkerMeter(worker, device, fingerprint, protocol, facts, loads)
    finally:
        worker.stop()


class _WorkerMeter(Meter):
    def __init__(
        self,
        worker: "WorkerProcess",
        device: str,
        fingerprint: Fingerprint,
        protocol: Protocol,
        conditions: dict[str, str | int],
        loads: int,
    ) -> None:
        self._worker = worker
        self._device = device
        self._fingerprint = fingerprint
        self._protocol = protocol
        self._conditions = {**conditions, **_versions(fingerprint)}
        self._loads = loads
        self._loaded, self._loaded_bytes = 0, 0

    def measure(self, artefacts: Mapping[str, Path], canary: Canary | None = None) -> GroupResult:
        """Returns the measurements of one group, timed in turns.

        When the worker dies or hangs, a fresh one measures each subject alone, so that only the
        subject that broke it is lost.
        """
        self._renew_worker(artefacts)
        try:
            return self._group(artefacts, canary)
        except WorkerLostError:
            parts = [self._alone(subject, path, canary) for subject, path in artefacts.items()]
        return GroupResult(
            tuple(one for part in parts for one in part.measurements),
            tuple(one for part in parts for one in part.failures),
        )

    def _renew_worker(self, artefacts: Mapping[str, Path]) -> None:
        """Ends a worker for which these artefacts would be too many."""
        loaded = self._loads * len(artefacts)
        loaded_bytes = self._loads * sum(path.stat().st_size for path in artefacts.values() if path.exists())
        self._loaded += loaded
        self._loaded_bytes += loaded_bytes
        if self._loaded > _LOADS_MOST or self._loaded_bytes > _LOADED_BYTES_MOST:
            self._worker.renew()
            self._loaded, self._loaded_bytes = loaded, loaded_bytes

    def breakdown(self, artefact: Path) -> tuple[Mapping[str, float], float] | None:
        """Returns the time in ms of each operation and of the whole; None where the runner cannot tell.

        Raises:
            MeasurementError: the artefact does not load or run.
        """
        try:
            events = list(self._worker.events({"breakdown": str(artefact)}, self._protocol.silence_s))
        except WorkerLostError as lost:
            raise MeasurementError(f"device '{self._device}' cannot run {artefact}: {lost}") from lost
        for event in events:
            if event["event"] == "failed":
                raise MeasurementError(f"device '{self._device}' cannot run {artefact}: {event['reason']}")
            if event["event"] == "breakdown":
                return event["parts"], event["whole_ms"]
        return None

    def _alone(self, subject: str, path: Path, canary: Canary | None) -> GroupResult:
        try:
            return self._group({subject: path}, canary)
        except WorkerLostError as lost:
            return GroupResult((), (Failure(subject, str(lost)),))

    def _group(self, artefacts: Mapping[str, Path], canary: Canary | None) -> GroupResult:
        request = {
            "artefacts": {subject: str(path) for subject, path in artefacts.items()},
            "canary": str(canary.artefact) if canary else None,
            "reference_ms": canary.reference_ms if canary else None,
            "protocol": asdict(self._protocol),
        }
        timed: dict[str, Any] | None = None
        energies: dict[str, dict[str, Any]] = {}
        failures: dict[str, str] = {}
        for event in self._worker.events(request, self._protocol.silence_s):
            if event["event"] == "timed":
                timed = event
            elif event["event"] == "energy":
                energies = event["subjects"]
            elif event["event"] == "failed":
                failures[event["subject"]] = event["reason"]
        doubt = failures.keys() - artefacts.keys()
        doubts = tuple(f"not corrected, the canary failed: {failures.pop(one)}" for one in doubt)
        taken = self._measurements(timed, doubts) if timed else iter(())
        return GroupResult(
            tuple(replace(one, **energies.get(one.subject, {})) for one in taken),
            tuple(Failure(subject, reason) for subject, reason in failures.items()),
        )

    def _measurements(self, timed: dict[str, Any], doubts: tuple[str, ...]) -> Iterator[Measurement]:
        """The measurements of a group, each told in canary times at the canary's reference time."""
        reference_ms: float | None = timed["reference_ms"]
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        for subject, series in timed["series"].items():
            samples_ms = np.asarray(series["samples_ms"])
            corrected_ms = samples_ms
            if reference_ms:
                corrected_ms = samples_ms * reference_ms / np.asarray(series["canary_ms"])
            counted = Counted(**series["counted"])
            deviations = self._protocol.outlier_deviations
            found = summary(corrected_ms, deviations, counted.left_out, timed["loads"])
            judged, reasons = verdict(found, counted, self._protocol)
            counts = np.delete(samples_ms, found.left_out)
            yield Measurement(
                subject=subject,
                device=self._device,
                fingerprint=self._fingerprint.digest,
                kind="measured",
                latency_ms=found.median_ms,
                p95_ms=found.p95_ms,
                ci_low_ms=found.ci_low_ms,
                ci_high_ms=found.ci_high_ms,
                samples_ms=tuple(series["samples_ms"]),
                calls_per_sample=series["calls"],
                verdict="unstable" if doubts else judged,
                reasons=(*reasons, *doubts),
                raw_latency_ms=float(np.median(counts)),
                raw_p95_ms=summary(samples_ms, deviations, counted.left_out).p95_ms,
                canary_ms=tuple(timed["drift_ms"]) if reference_ms else None,
                canary_reference_ms=reference_ms,
                canary_samples_ms=tuple(series["canary_ms"]),
                left_out=found.left_out,
                conditions={
                    **self._conditions,
                    **timed["conditions"],
                    **timed["of_subjects"][subject],
                    "disturbed_rounds": counted.disturbed,
                    "rounds_at_speed": counted.at_speed,
                },
                time=now,
            )


def _last_cores(threads: int) -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))[-threads:]
    return list(range(threads))


def _versions(fingerprint: Fingerprint) -> dict[str, str | int]:
    return {name: value for name, value in fingerprint.facts.items() if name.endswith("version")}
