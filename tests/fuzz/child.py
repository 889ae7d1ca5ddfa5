"""A process that reads spoilt files under watch: `python -m tests.fuzz.child READER FIRST LAST FOLDER`.

It writes one line of JSON a file. Its memory is capped; ten CPU seconds on one file end it; whatever
it starts, connects to, or opens for writing outside of its folder is told.
"""

import json
import os
import resource
import shutil
import signal
import sys
import time
import traceback
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.errors import HwnasError

from .mutations import write
from .reader import mutated
from .readers import READERS

MEMORY_CAP_BYTES = 1 << 30
MOST_CPU_S = 10
# Deep enough that what climbs out of it, from C too, is still in a folder that is looked at.
CASE = ("1", "2", "3", "case")
_MOST_CHARACTERS = 4000
_FORBIDDEN = (
    *("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.connect"),
    *(
        "pickle.find_class",
        "ctypes.dlopen",
        "os.remove",
        "os.rename",
        "shutil.rmtree",
        "os.mkdir",
        "os.rmdir",
    ),
)
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Watch:
    """Notes what reading a file must not do; `folder` is where it may write."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        self.on = False
        self.seen: list[str] = []
        sys.addaudithook(self._heard)

    def _heard(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "open":
            path, _, flags = args
            if isinstance(flags, int) and flags & _WRITES and not self._inside(path):
                self.seen.append(f"writes {path!r}")
        elif event in _FORBIDDEN and not (args and self._inside(args[0])):
            self.seen.append(f"{event} {str(args)[:200]}")

    def _inside(self, path: Any) -> bool:
        if isinstance(path, int):
            return True  # a descriptor, which was watched when it was opened
        try:
            return os.path.realpath(os.fsdecode(path)).startswith(self.folder)
        except (TypeError, ValueError):
            return False


def outcome(name: str, seed: int, files: dict[str, bytes], folder: Path, watch: Watch) -> str:
    """Returns what came of one file: `read`, `refused`, or what was wrong with the reader."""
    reader = READERS[name]
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    for file, content in mutated(reader, files, rng).items():
        write(folder / file, content)
    watch.seen.clear()
    watch.on = True
    try:
        reader.use(folder)
        said = "read"
    except HwnasError as error:
        long = len(str(error)) > _MOST_CHARACTERS
        said = f"LONG {len(str(error))} characters" if long else "refused"
    except MemoryError:
        said = f"MEMORY {_place()}"
    except BaseException:
        said = f"TRACEBACK {_place()}"
    watch.on = False
    return f"OUTSIDE {watch.seen[0]}" if watch.seen else said


def _place() -> str:
    """The kind of an error and the innermost line of ours that it went through."""
    kind, error, trace = sys.exc_info()
    ours = [frame for frame in traceback.extract_tb(trace) if "hwnas/" in frame.filename]
    at = ours[-1] if ours else traceback.extract_tb(trace)[-1]
    return f"{kind.__name__ if kind else ''} {Path(at.filename).name}:{at.lineno} {str(error)[:80]!a}"


def main() -> None:
    """Reads the files of seeds from FIRST to before LAST."""
    name, first, last, base = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]).resolve()
    files = READERS[name].valid()
    watch = Watch(base)
    folder = base.joinpath(*CASE)
    folder.mkdir(parents=True)
    os.chdir(folder.parent)
    for file, content in files.items():
        write(folder / file, content)
    READERS[name].use(folder)  # the valid file must be read; and what is imported late is there now
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY_CAP_BYTES,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    for seed in range(first, last):
        shutil.rmtree(folder, ignore_errors=True)
        signal.setitimer(signal.ITIMER_PROF, MOST_CPU_S)
        started = time.process_time()
        said = outcome(name, seed, files, folder, watch)
        cpu_s = time.process_time() - started
        signal.setitimer(signal.ITIMER_PROF, 0)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib) * 1024
        print(
            json.dumps({"seed": seed, "said": said, "cpu_s": round(cpu_s, 3), "grown_bytes": grown}),
            flush=True,
        )


if __name__ == "__main__":
    main()
