"""A full disk, a folder that may not be written to, and files removed in the middle of a run."""

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .interrupts import at_work, kept
from .jobs import settle
from .running import Running, ran
from .stage import Stage, Tried
from .traces import lost, torn, truths

_NAMES = ("train", "evaluate", "profile, simulated", "search", "export")
_MIB = 1 << 20
STORE = "home/measurements.sqlite"
# A job, and what of its place is removed when it is at work; a store, when it holds something.
_REMOVED = (
    ("profile", STORE),
    ("search", "run/journal.jsonl"),
    ("search", "run"),
    ("train", "net.safetensors.checkpoint"),
    ("evaluate", "results.csv"),
    ("export", "run/front.json"),
    ("export", "models"),
    ("profile", "tmp"),
)


@contextmanager
def mounted(stage: Stage, size: int) -> Iterator[Path | str]:
    """Yields the folder of a file system of so many bytes, or why there can be none."""
    folder = stage.home / "mounted"
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid():
        yield "only root may mount a small disk"
        return
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        yield f"no disk can be mounted here: {done.stderr.strip()}"
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def full(
    stage: Stage, names: Sequence[str] = _NAMES, shares: Sequence[float] = (0.0, 0.05, 0.5, 0.9)
) -> Tried:
    """A disk with little room left, from none to nearly enough, for all that a command writes."""
    tried = Tried()
    for name in names:
        needs = stage.whole(name).size_bytes
        for share in shares:
            with mounted(stage, 64 * _MIB) as folder:
                if isinstance(folder, str):
                    tried.skipped = folder
                    return tried
                place = folder / "place"
                settle(stage.job(name), stage.world, place)
                (place / "tmp").mkdir()
                filler = _filled(folder, int(share * needs))
                # What Python and torch cache is not the matter.
                end = ran(stage.job(name).words, place, {"PYTHONDONTWRITEBYTECODE": "1"})
                what = f"{name}, room for {share:.0%}"
                wrong = end.refused("make room", "No space", "full") if end.code else []
                known = truths(place)
                wrong += torn(place, finished=False)
                filler.unlink()
                tried.add(what, wrong + stage.completes(name, place, known), end.last if end.code else "")
    return tried


def read_only(stage: Stage, names: Sequence[str] = _NAMES) -> Tried:
    """A folder that may not be written to, with what a killed command left in it."""
    tried = Tried()
    for name in names:
        with mounted(stage, 64 * _MIB) as folder:
            if isinstance(folder, str):
                tried.skipped = folder
                return tried
            place = folder / "place"
            settle(stage.job(name), stage.world, place)
            elsewhere = stage.home / "elsewhere"
            elsewhere.mkdir(exist_ok=True)
            stage.befallen(name, place, at_work(name), lambda running: running.process.kill())
            known = truths(place)
            subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
            end = ran(stage.job(name).words, place, {"TMPDIR": str(elsewhere)})
            subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
            wrong = end.refused("Read-only", "readonly", "unable to open")
            wrong += torn(place, finished=False) + lost(known, truths(place))
            tried.add(name, wrong + stage.completes(name, place, known), end.last)
    return tried


def removed(stage: Stage, what: Sequence[tuple[str, str]] = _REMOVED) -> Tried:
    """Files that are gone in the middle of a run: outputs, inputs, and what was put aside."""
    tried = Tried()
    for name, path in what:
        place = stage.settled(name)
        condition = _keeping(name, place) if path == STORE else at_work(name)
        end, came = stage.befallen(name, place, condition, _remover(place / path))
        wrong = [] if came else ["it was over before the file was removed"]
        wrong += end.refused("removed", "No such file", "missing", "cannot") if end.code else []
        wrong += torn(place, finished=False)
        if path == "run/front.json":
            settle(stage.job(name), stage.world, place)
        tried.add(f"{name}, {path}", wrong + stage.completes(name, place, truths(place)), end.last)
    return tried


def _keeping(name: str, place: Path) -> Callable[[Running], bool]:
    return lambda _running: kept(name, place) > 0


def _remover(path: Path) -> Callable[[Running], None]:
    def remove(_running: Running) -> None:
        # What is at work may write into a folder that is being emptied.
        while subprocess.run(["rm", "-rf", str(path)]).returncode:
            pass

    return remove


def _filled(folder: Path, left: int) -> Path:
    """Fills the disk that a folder is on but for so many bytes."""
    filler = folder / "filler"
    state = os.statvfs(folder)
    with open(filler, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, state.f_bavail * state.f_bsize - left))
    return filler
