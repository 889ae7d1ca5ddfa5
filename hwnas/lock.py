"""Lock files, which hold a place against other processes."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hwnas.line_file import check_still_there

_LOOK_S = 0.1


@contextmanager
def held(path: Path, wait_s: float = 0.0) -> Iterator[None]:
    """Holds a lock file, made where it is not there and removed afterwards.

    The lock is the system's and ends with the process, however that ends: a file that is left
    holds nobody up. On a file system that has no locks it holds nobody up either.

    Args:
        path: of the lock file.
        wait_s: for so long it may be held by another: processes that were forked hold it too, and
            those of one that was killed may outlive it by seconds.

    Raises:
        BlockingIOError: another process holds it.
        OSError: the file cannot be made.
    """
    end_s = time.monotonic() + wait_s
    while True:
        with open(path, "w", encoding="utf-8") as lock:
            try:
                _take(lock.fileno())
            except BlockingIOError:
                if time.monotonic() >= end_s:
                    raise
                time.sleep(_LOOK_S)
                continue
            if os.fstat(lock.fileno()).st_nlink == 0:
                continue  # who held it removed it after we had opened it
            try:
                yield
            finally:
                # Where the folder was removed meanwhile, the file in its place may be another's.
                with suppress(OSError):
                    check_still_there(path, os.fstat(lock.fileno()))
                    path.unlink()
            return


def _take(handle: int) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        pass
