"""Lock files, which hold a place against other processes."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hwnas.line_file import check_still_there


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Holds a lock file, made where it is not there and removed afterwards.

    The lock is the system's and ends with the process, however that ends: a file that is left
    holds nobody up. On a file system that has no locks it holds nobody up either.

    Raises:
        BlockingIOError: another process holds it.
        OSError: the file cannot be made.
    """
    while True:
        with open(path, "w", encoding="utf-8") as lock:
            _take(lock.fileno())
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
