"""Where faults are made: a job in a place, before, during and after a fault, and what came of it."""

import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .jobs import Job, jobs, settle
from .running import Ran, Running, ran, started
from .traces import lost, repeated, torn, truths


@dataclass(frozen=True)
class Unbroken:
    """What a job ends with when nothing befalls it, how long it takes on the wall, and what it writes."""

    outcome: Any
    seconds: float
    size_bytes: int


@dataclass
class Tried:
    """What came of a fault.

    Attributes:
        tries: how often it was made.
        wrong: what should not have been.
        skipped: why it could not be made here.
        says: the lines that the commands ended with.
    """

    tries: int = 0
    wrong: list[str] = field(default_factory=list)
    skipped: str = ""
    says: list[str] = field(default_factory=list)

    def add(self, what: str, wrong: list[str], says: str = "") -> None:
        """Counts one try."""
        self.tries += 1
        self.wrong += [f"{what}: {one}" for one in wrong]
        self.says += [says] if says and says not in self.says else []
        sys.stderr.write(f"{what}: {len(wrong)} wrong {wrong}; {says}\n")


@dataclass
class Stage:
    """A folder to make faults in.

    Attributes:
        world: what `make_world` made.
        home: where places are made.
        seed: of what is drawn.
    """

    world: Path
    home: Path
    seed: int
    _whole: dict[str, Unbroken] = field(default_factory=dict)

    def job(self, name: str) -> Job:
        """Returns a job by name."""
        return jobs(self.world)[name]

    def whole(self, name: str) -> Unbroken:
        """Returns how a job ends that nothing befalls."""
        if name not in self._whole:
            job, place = self.job(name), self.settled(name, "whole")
            end = ran(job.words, place)
            wrong = end.done() or torn(place, finished=True)
            assert not wrong, wrong
            size_bytes = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
            self._whole[name] = Unbroken(job.outcome(place, end.out), end.seconds, size_bytes)
        return self._whole[name]

    def settled(self, name: str, place: str = "place") -> Path:
        """Returns a new place for a job."""
        settle(self.job(name), self.world, self.home / place)
        return self.home / place

    def completes(self, name: str, place: Path, known: Counter[str]) -> list[str]:
        """Runs the job once more, now that the fault is gone; returns what is wrong with how it ends."""
        job = self.job(name)
        end = ran(job.words, place)
        if end.code != 0:
            return end.done()
        now = truths(place)
        wrong = torn(place, finished=True) + lost(known, now) + repeated(now)
        outcome = job.outcome(place, end.out)
        expected = self._on_the_same_store(job, place) if job.same_store else self.whole(name).outcome
        if outcome != expected:
            wrong.append(f"another result: {_difference(expected, outcome)}")
        return wrong

    def _on_the_same_store(self, job: Job, place: Path) -> Any:
        """What an unbroken run ends with that finds the measurements of the broken one."""
        (place / "run").rename(place / "broken")
        end = ran(job.words, place)
        assert end.code == 0, end.err
        return job.outcome(place, end.out)

    def befallen(
        self,
        name: str,
        place: Path,
        when: Callable[[Running], object],
        fault: Callable[[Running], None],
        more: Mapping[str, str] | None = None,
    ) -> tuple[Ran, bool]:
        """Returns how a job ends that a fault befalls as soon as `when` holds, and whether it did."""
        with started(self.job(name).words, place, more) as running:
            came = running.wait_for(lambda: when(running))
            if came and running.process.poll() is None:
                fault(running)
            return running.ended(), came


def _difference(expected: Any, outcome: Any) -> str:
    one, other = (json.dumps(value, indent=1).splitlines() for value in (expected, outcome))
    lines = [f"{a.strip()} != {b.strip()}" for a, b in zip(one, other, strict=False) if a != b]
    return f"{len(one)} and {len(other)} lines; " + "; ".join(lines[:4])[:400]
