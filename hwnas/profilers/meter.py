"""The meter of real devices: a worker process that measures, and what happens when it breaks."""

import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.errors import MeasurementError
from hwnas.profilers.device import Canary, GroupResult, Meter
from hwnas.profilers.fingerprint import Fingerprint
from hwnas.profilers.measurement import Failure, Measurement
from hwnas.profilers.protocol import Counted, Protocol, verdict
from hwnas.profilers.statistics import summary

_START_SILENCE_S = 120.0
# TVM closes no library that it has opened: a worker that has loaded so much gives way to a fresh one,
# before memory, the room of deleted copies or the system's number of mappings runs out.
_LOADS_MOST = 2000
_LOADED_BYTES_MOST = 2 << 30
_FAREWELL_S = 5.0


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
        runner: the name of a runner module, see `hwnas.profilers.runner`.
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
    worker = _Worker(runner, cores, {**(settings or {}), "threads": threads, "reload": reload}, load_s)
    try:
        loads = protocol.loads if reload else 1
        facts = {"threads": threads, **(conditions or {})}
        yield _WorkerMeter(worker, device, fingerprint, protocol, facts, loads)
    finally:
        worker.stop()


class _WorkerMeter(Meter):
    def __init__(
        self,
        worker: "_Worker",
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
        except _WorkerLost:
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
        except _WorkerLost as lost:
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
        except _WorkerLost as lost:
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


class _WorkerLost(Exception):
    """The worker died or hung; the message says how."""


class _Worker:
    """A worker process, started when there is work and again after it was lost."""

    def __init__(self, runner: str, cores: list[int], settings: Mapping[str, Any], load_s: float) -> None:
        threads = settings["threads"]
        self._load_s = load_s
        self._command = [
            *(sys.executable, "-m", "hwnas.profilers.worker"),
            *(runner, ",".join(map(str, cores)), json.dumps(settings)),
        ]
        self._environment = {
            **os.environ,
            # The worker finds what this process finds, however it was started.
            "PYTHONPATH": os.pathsep.join(str(Path(place).resolve()) for place in sys.path),
            **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TVM_NUM_THREADS"), str(threads)),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._pending = b""
        self._busy = threading.Lock()
        self._stopped = False

    def events(self, request: dict[str, Any], silence_s: float) -> Iterator[dict[str, Any]]:
        """Yields what the worker reports until it is done with a request.

        Raises:
            _WorkerLost: it died, or said nothing for `silence_s`; the next request starts a new one.
            MeasurementError: it cannot even start, or its device is gone.
        """
        with self._busy:
            yield from self._events(request, silence_s)

    def renew(self) -> None:
        """Ends the worker, if there is one; the next request starts another."""
        with self._busy:
            if self._process:
                self._end()

    def stop(self) -> None:
        """Ends the worker for good, if there is one; a request in another thread fails then."""
        self._stopped = True
        if self._busy.locked() and (process := self._process):
            _ended(process)
        with self._busy:
            if self._process:
                self._end()

    def _events(self, request: dict[str, Any], silence_s: float) -> Iterator[dict[str, Any]]:
        process = self._process or self._start()
        assert process.stdin
        doing, limit_s = "", silence_s
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            while (event := self._next(process, limit_s))["event"] != "done":
                loading = event["event"] == "loading"
                doing = f" while it loaded {event['subject'][:10]}" if loading else ""
                limit_s = max(silence_s, self._load_s) if loading else silence_s
                if event["event"] == "unavailable":
                    raise MeasurementError(event["reason"])
                yield event
        except (BrokenPipeError, EOFError) as error:
            raise _WorkerLost(f"{self._end()}{doing}") from error
        except TimeoutError as error:
            self._end()
            raise _WorkerLost(f"the measuring process said nothing for {limit_s:g} s{doing}") from error

    def _start(self) -> "subprocess.Popen[bytes]":
        if self._stopped:
            raise MeasurementError("measuring was stopped")
        self._pending = b""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=self._environment,
            start_new_session=True,  # Ctrl-C is for the process that the user sees
        )
        try:
            event = self._next(self._process, _START_SILENCE_S)
        except (EOFError, TimeoutError) as error:
            ended = self._end()
            said = "measuring was stopped" if self._stopped else f"cannot start measuring: {ended}"
            raise MeasurementError(said) from error
        assert event["event"] == "ready"
        return self._process

    def _next(self, process: "subprocess.Popen[bytes]", silence_s: float) -> dict[str, Any]:
        """Returns the next report; EOFError when there will be none, TimeoutError when none came."""
        assert process.stdout
        deadline = time.monotonic() + silence_s
        while b"\n" not in self._pending:
            left_s = max(0.0, deadline - time.monotonic())
            if not select.select([process.stdout], [], [], left_s)[0]:
                raise TimeoutError
            data = os.read(process.stdout.fileno(), 1 << 16)
            if not data:
                raise EOFError
            self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        event: dict[str, Any] = json.loads(line)
        return event

    def _end(self) -> str:
        """Makes sure the process is gone; returns how it ended, with the last line it wrote."""
        process, self._process = self._process, None
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            # One whose output has ended is about to be gone; a signal would hide its own reason.
            status = process.wait(_FAREWELL_S if select.select([process.stdout], [], [], 0)[0] else 0)
        except subprocess.TimeoutExpired:
            status = _ended(process)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.stdout.close()
        self._errors.seek(0)
        last = self._errors.read().decode(errors="replace").strip().splitlines()[-1:]
        self._errors.close()
        how = f"signal {-status}" if status < 0 else f"status {status}"
        return f"the measuring process ended with {how}{': ' if last else ''}{''.join(last)[:200]}"


def _ended(process: "subprocess.Popen[bytes]") -> int:
    """Ends a process, one that holds another machine in good order; returns its status."""
    process.terminate()
    try:
        return process.wait(_FAREWELL_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _last_cores(threads: int) -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))[-threads:]
    return list(range(threads))


def _versions(fingerprint: Fingerprint) -> dict[str, str | int]:
    return {name: value for name, value in fingerprint.facts.items() if name.endswith("version")}
