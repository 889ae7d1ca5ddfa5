"""Commands started, killed and interrupted, and what they leave behind."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

# Far above what any of them takes, on a machine that is busy with others.
MOST_S = 1800
_PROGRAMS = {"torchrun": "torch.distributed.run"}


@dataclass(frozen=True)
class Ran:
    """How a command ended.

    Attributes:
        code: its exit code, below zero for a signal.
        out, err: what it wrote.
        seconds: by the clock on the wall.
    """

    code: int
    out: str
    err: str
    seconds: float

    @property
    def last(self) -> str:
        """The last line for people."""
        return (self.err.strip().splitlines() or [""])[-1]

    def refused(self, *words: str, code: int = 2) -> list[str]:
        """Returns what is wrong with how a command told of a fault; its line is to hold the words."""
        wrong = []
        if self.code != code:
            wrong.append(f"exit code {self.code}, not {code}")
        if "Traceback" in self.err:
            wrong.append("a traceback")
        if not self.last.startswith("hwnas: ") or not any(word in self.last for word in words or ("",)):
            wrong.append("no clear line")
        return [f"{one}: {self.err[-600:]}" for one in wrong]

    def done(self) -> list[str]:
        """Returns what is wrong with a command that should have completed."""
        return [] if self.code == 0 else [f"it did not complete ({self.code}): {self.err[-600:]}"]


class Running:
    """A command that runs in a session of its own."""

    def __init__(self, words: Sequence[str], place: Path, more: Mapping[str, str] | None = None) -> None:
        """Starts `hwnas WORDS` in a place, with its store and its temporary files there too.

        Args:
            words: of the command; those of a launcher begin with `torchrun`.
            place: its working folder.
            more: further variables of its environment.
        """
        (place / "tmp").mkdir(parents=True, exist_ok=True)
        self.began = time.monotonic()
        # Not in the place, whose disk may be full.
        self._out, self._err = (tempfile.NamedTemporaryFile("w+") for _ in range(2))  # noqa: SIM115
        self.place = place
        launched = words[0] in _PROGRAMS
        command = [sys.executable, "-m", _PROGRAMS.get(words[0], "hwnas"), *words[launched:]]
        self.process = psutil.Popen(
            command,
            cwd=place,
            env={**environment(place), **(more or {})},
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=self._err,
            start_new_session=True,
            # Where the tests run in the background, they ignore interrupts, and so would the command.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def said(self) -> str:
        """Returns what it told people so far."""
        return Path(self._err.name).read_text()

    def wait(self, seconds: float = MOST_S) -> Ran | None:
        """Returns how it ended; None where it has not after so long."""
        try:
            code = self.process.wait(seconds)
        except (psutil.TimeoutExpired, subprocess.TimeoutExpired):
            return None
        out, err = (Path(file.name).read_text() for file in (self._out, self._err))
        return Ran(code, out, err, time.monotonic() - self.began)

    def ended(self) -> Ran:
        """Waits until it has ended by itself."""
        ran = self.wait()
        assert ran is not None, f"it hangs: {self.said()[-600:]}"
        return ran

    def wait_for(self, condition: Callable[[], object], seconds: float = MOST_S) -> bool:
        """Returns whether the condition came while it ran."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if condition():
                return True
            if self.process.poll() is not None:
                return bool(condition())
            time.sleep(0.01)
        return False

    def descendants(self) -> list[psutil.Process]:
        """Returns the processes that it started, and those that these did."""
        try:
            return self.process.children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def kill(self, whole_group: bool) -> list[psutil.Process]:
        """Kills it by signal 9, with its group or alone; returns what of it still lives a while later."""
        children = self.descendants()
        if whole_group:
            os.killpg(self.process.pid, signal.SIGKILL)
        else:
            self.process.kill()
        self.process.wait()
        return psutil.wait_procs(children, 60)[1]

    def interrupt(self) -> None:
        """Presses Ctrl-C: the whole foreground group hears of it."""
        os.killpg(self.process.pid, signal.SIGINT)

    def close(self) -> None:
        """Ends what is left of it."""
        for one in [*self.descendants(), self.process]:
            if one.is_running():
                one.kill()
        self.process.wait()
        for file in (self._out, self._err):
            file.close()


def environment(place: Path) -> dict[str, str]:
    """Returns the environment of commands in a place."""
    here = Path(__file__).parent
    paths = [str(here.parents[1]), str(here / "plugins"), os.environ.get("PYTHONPATH", "")]
    home = {"HWNAS_HOME": str(place / "home"), "TMPDIR": str(place / "tmp")}
    return {**os.environ, **home, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, paths))}


@contextmanager
def started(words: Sequence[str], place: Path, more: Mapping[str, str] | None = None) -> Iterator[Running]:
    """Yields a command that runs; nothing of it is left afterwards."""
    running = Running(words, place, more)
    try:
        yield running
    finally:
        running.close()


def ran(words: Sequence[str], place: Path, more: Mapping[str, str] | None = None) -> Ran:
    """Returns how a command ended by itself."""
    with started(words, place, more) as running:
        return running.ended()
