"""Ctrl-C: once ends the work after the measurement in flight, twice ends it at once."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from hwnas.errors import HwnasError
from hwnas.progress import Progress, Stopped

_SAYS = b"\nhwnas: ending after what is in flight; Ctrl-C again ends at once\n"


class Interrupted(HwnasError):
    """Ctrl-C ended a command that has kept nothing."""

    exit_code = 130


@contextmanager
def keeping_nothing(advice: str = "the same command begins anew") -> Iterator[None]:
    """Where a command keeps nothing until it ends, says so on Ctrl-C; what it could keep, `advice` says.

    Raises:
        Interrupted: on Ctrl-C.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; nothing was kept: {advice}") from None


@contextmanager
def stoppable(progress: Progress) -> Iterator[Progress]:
    """Yields a listener that passes on what it hears, and raises Stopped at a step after a Ctrl-C.

    A second Ctrl-C raises KeyboardInterrupt wherever the program is; a third is the system's. Where
    interrupts are ignored, as in the background of a script, they stay so.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        yield progress
        return
    listener = _Stoppable(progress)
    signal.signal(signal.SIGINT, listener.on_interrupt)
    try:
        yield listener
    except HwnasError:
        raise
    except Exception as error:
        if listener.asked:  # a compiler that we started hears of Ctrl-C too, and fails
            raise KeyboardInterrupt from error
        raise
    finally:
        signal.signal(signal.SIGINT, before)


class _Stoppable:
    def __init__(self, listener: Progress) -> None:
        self._listener = listener
        self._process = os.getpid()
        self.asked = False

    def on_interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            return  # a process that loads images; this one ends it
        if self.asked:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            raise KeyboardInterrupt
        self.asked = True
        # Not through Python's streams, which the signal may have interrupted.
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, _SAYS)

    def say(self, text: str) -> None:
        self._listener.say(text)

    def step(self, what: str, done: int, total: int) -> None:
        self._listener.step(what, done, total)
        if self.asked:
            raise Stopped
