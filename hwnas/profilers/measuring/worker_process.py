"""The process that measures, seen from the process that asks: started, asked, lost and ended."""

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
from pathlib import Path
from typing import Any

from hwnas.errors import MeasurementError

_START_SILENCE_S = 120.0
_FAREWELL_S = 5.0


class WorkerLostError(Exception):
    """The worker died or hung; the message says how."""


class WorkerProcess:
    """A worker process, started when there is work and again after it was lost."""

    def __init__(self, runner: str, cores: list[int], settings: Mapping[str, Any], load_s: float) -> None:
        threads = settings["threads"]
        self._load_s = load_s
        self._command = [
            *(sys.executable, "-m", "hwnas.profilers.measuring.worker"),
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
            WorkerLostError: it died, or said nothing for `silence_s`; the next request starts a new one.
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
            raise WorkerLostError(f"{self._end()}{doing}") from error
        except TimeoutError as error:
            self._end()
            raise WorkerLostError(f"the measuring process said nothing for {limit_s:g} s{doing}") from error

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
