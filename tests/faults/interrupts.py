"""Ctrl-C: once ends a command after what is in flight, twice ends it at once."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from hwnas.supernet.training.checkpoint import saved_step

from .running import Ran, Running, started
from .stage import Stage, Tried
from .traces import torn, truths

_NAMES = ("profile", "search", "train", "evaluate", "export")
# What compiles, what tunes, and what runs in several processes.
_FURTHER = ("profile, cpu", "profile, cpu, tuned", "train, 2 processes")
RESUME = "interrupted; repeat the same command to resume"
# The next group of measurements takes longer than this, even on a quiet machine.
_INTO_A_GROUP_S = 0.7


def at_work(name: str) -> Callable[[Running], bool]:
    """Returns what tells that a job is in the middle of something that is worth keeping."""
    if name == "profile, cpu":
        return lambda running: any((running.place / "home" / "kernels").glob("*/*.o"))
    if name == "profile, cpu, tuned":
        return lambda running: len(truths(running.place)) > 0
    if name == "search, measured":
        return lambda running: "measuring on" in running.said()
    job = name.partition(",")[0]
    words = {"profile": "measuring on", "train": "train: 1/", "evaluate": "evaluate: "}
    words |= {"search": "evaluate accuracy: 0/", "export": "export and check: 0/"}
    return lambda running: words[job] in running.said()


def _heard(name: str, ran: Ran) -> list[str]:
    """What is wrong with how a command ended that was interrupted."""
    if name != "train, 2 processes":
        return ran.refused(RESUME, code=130)
    # torchrun tells of the signal too, by a traceback and a code of its own; on the second it may
    # end rank 0 before that one is heard, and another rank tells what is to be told.
    said = [
        line for line in ran.err.splitlines() if line.startswith("hwnas: ") and "ending after" not in line
    ]
    well = len(said) == 1 and "repeat the same command to " in said[0] and ran.code
    return [] if well else [f"it said {said}, code {ran.code}"]


def kept(name: str, place: Path) -> int:
    """Returns how much of a job's work is on the disk: steps of training, or truths."""
    if name.startswith("train"):
        return saved_step(place / "net.safetensors.checkpoint")
    return len(truths(place))


def once(stage: Stage, names: Sequence[str] = (*_NAMES, "evaluate, 2 processes", *_FURTHER)) -> Tried:
    """Ctrl-C once over every command: what was in flight is kept."""
    tried = Tried()
    for name in names:
        place = stage.settled(name)
        before = 0

        def press(running: Running, name: str = name, place: Path = place) -> None:
            nonlocal before
            before = kept(name, place)
            time.sleep(_INTO_A_GROUP_S if name == "profile" else 0)
            running.interrupt()

        ran, came = stage.befallen(name, place, at_work(name), press)
        wrong = _heard(name, ran) if came else ["it was over before the key was pressed"]
        if "ending after what is in flight" not in ran.err:
            wrong.append(f"it did not say that it heard: {ran.err[-300:]}")
        if kept(name, place) <= before:
            wrong.append(f"what was in flight was not kept: {before}")
        wrong += torn(place, finished=False)
        tried.add(name, wrong + stage.completes(name, place, truths(place)), ran.last)
    return tried


def keeping_nothing(stage: Stage) -> Tried:
    """Ctrl-C over an evaluation without a file: what is said is true, nothing can be resumed."""
    tried = Tried()
    place = stage.settled("evaluate")
    words = stage.job("evaluate").words[:-2]
    working = at_work("evaluate")
    with started(words, place) as running:
        came = running.wait_for(lambda: working(running))
        running.interrupt()
        end = running.ended()
    wrong = end.refused("nothing was kept", code=130) if came else ["it was over before the key was pressed"]
    wrong += [f"left: {path}" for path in place.rglob("*") if path.is_file()]
    tried.add("evaluate without -o", wrong, end.last)
    return tried


def twice(stage: Stage, names: Sequence[str] = (*_NAMES, *_FURTHER)) -> Tried:
    """Ctrl-C twice over every command: it ends, and the measurement in flight with it."""
    tried = Tried()
    for name in names:
        place = stage.settled(name)

        def press(running: Running, name: str = name) -> None:
            time.sleep(_INTO_A_GROUP_S if name == "profile" else 0)
            running.interrupt()
            time.sleep(0.2)
            running.interrupt()

        ran, came = stage.befallen(name, place, at_work(name), press)
        wrong = _heard(name, ran) if came else ["it was over before the key was pressed"]
        if name == "profile" and kept(name, place) > 32:
            wrong.append("it went on to the end of the group")
        wrong += torn(place, finished=False)
        tried.add(name, wrong + stage.completes(name, place, truths(place)), ran.last)
    return tried
