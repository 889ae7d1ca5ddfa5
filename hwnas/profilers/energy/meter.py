"""The contract of an energy meter, and what meters have in common.

A meter reads either a counter of energy or, again and again, power, which is integrated here.
"""

import re
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple, final

from hwnas.errors import UnavailableError

# Returns the energy used since the meter was opened, in mJ.
ReadEnergy = Callable[[], float]

# The slowest counters move every 100 ms, even when nothing runs.
_PATIENCE_S = 0.5
# A device file may say where sysfs is, so that what is there may be anything.
_MOST_CHARACTERS = 100


class MeterFacts(NamedTuple):
    """What a meter is worth.

    Attributes:
        source: how it knows, for people.
        boundary: what its figures include, for people.
        window_s: the shortest window that makes sense.
    """

    source: str
    boundary: str
    window_s: float


class EnergyMeter(ABC):
    """A meter of this machine: it tells what everything within its boundary uses, whoever runs there.

    Attributes:
        name: as in `EnergySettings.meter`.
    """

    name: str

    @final
    def unavailable(self) -> str | None:
        """Returns why the meter cannot be read here and what would make it so; None if it can."""
        try:
            self.facts()
            with self.opened() as read:
                return None if _moves(read) else "its reading stands still, so it measures nothing here"
        except UnavailableError as error:
            return str(error)

    @abstractmethod
    def facts(self) -> MeterFacts:
        """Returns what it is worth.

        Raises:
            UnavailableError: it is not here, or may not be read.
        """

    @abstractmethod
    def opened(self) -> AbstractContextManager[ReadEnergy]:
        """Returns the meter at work, from zero, while the context lasts.

        A counter that wraps must be read again before it can wrap twice, which takes minutes.

        Raises:
            UnavailableError: it cannot be read, at first or later.
        """


@contextmanager
def integrated(power_mw: Callable[[], float], interval_s: float) -> Iterator[ReadEnergy]:
    """Yields the energy of something that tells its power, polled in a thread.

    Between two readings power is taken for a straight line (trapezoid rule). An error of
    `power_mw` comes out of the next read.
    """
    integral = Integral(power_mw, time.perf_counter)
    stop = threading.Event()

    def poll() -> None:
        while not stop.wait(interval_s):
            try:
                integral.read()
            except UnavailableError:
                return  # whoever reads next meets it again

    thread = threading.Thread(target=poll, daemon=True)
    thread.start()
    try:
        yield integral.read
    finally:
        stop.set()
        thread.join()


class Integral:
    """The integral over time, by the trapezoid rule, of a power read whenever `read` is called."""

    def __init__(self, power_mw: Callable[[], float], now: Callable[[], float]) -> None:
        """Begins at zero, with a first reading of power."""
        self._power_mw, self._now = power_mw, now
        self._lock = threading.Lock()
        self._energy_mj = 0.0
        self._last_mw, self._last_s = power_mw(), now()

    def read(self) -> float:
        """Returns the energy in mJ up to a reading of power taken now."""
        with self._lock:
            power, at = self._power_mw(), self._now()
            self._energy_mj += (at - self._last_s) * (power + self._last_mw) / 2
            self._last_mw, self._last_s = power, at
            return self._energy_mj


def number(path: Path) -> int:
    """Returns the whole number that a file of sysfs holds.

    Raises:
        PermissionError: it may not be read.
        UnavailableError: it cannot be read, or holds something else.
    """
    try:
        text = _read(path)
    except PermissionError:
        raise
    except OSError as error:
        raise UnavailableError(f"{path} cannot be read ({error.strerror or error})") from error
    # No counter has more than 64 bits, which are 20 digits.
    if not re.fullmatch(r"[+-]?[0-9]{1,20}", text):
        raise UnavailableError(f"{path} must hold a whole number, but holds {text[:20]!r}")
    return int(text)


def word(path: Path) -> str:
    """Returns the text that a file of sysfs holds, such as a name; empty where it cannot be read."""
    try:
        return _read(path)
    except OSError:
        return ""


def _read(path: Path) -> str:
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read(_MOST_CHARACTERS).strip()


def _moves(read: ReadEnergy) -> bool:
    first, deadline = read(), time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        if read() > first:
            return True
        time.sleep(0.005)
    return False
