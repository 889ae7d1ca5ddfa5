"""Files that grow line by line, as journals and results do; each line is there whole or not at all."""

import errno
import fcntl
import os
from pathlib import Path


class LineFile:
    """A file that grows by whole lines, which no kill and no full disk tears."""

    def __init__(self, path: Path) -> None:
        """Opens or makes the file.

        Raises:
            OSError: it cannot be written.
        """
        self._path = path
        self._file = open(path, "a+b", buffering=0)  # noqa: SIM115 (closed by `close`)
        self._size = os.fstat(self._file.fileno()).st_size

    def lock(self) -> None:
        """Closes it to others that lock it, until it is closed or the process ends.

        Raises:
            BlockingIOError: another process has it.
        """
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def cut(self, size: int) -> None:
        """Leaves the first `size` bytes alone, such as all but a line torn by a kill."""
        self._file.truncate(size)
        self._size = size

    def append(self, line: bytes) -> None:
        """Adds a line; when this returns it is on the disk, and when this raises the file is as it was.

        Raises:
            OSError: there is no room, or the file was removed or replaced meanwhile.
        """
        try:
            if os.write(self._file.fileno(), line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file.fileno())
            check_still_there(self._path, os.fstat(self._file.fileno()))
        except OSError:
            self._file.truncate(self._size)
            raise
        self._size += len(line)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def check_still_there(path: Path, opened: os.stat_result) -> None:
    """Raises OSError where `path` is no longer the file that was opened: what is written is lost."""
    try:
        same = os.path.samestat(path.stat(), opened)
    except FileNotFoundError:
        same = False
    if not same:
        raise OSError(errno.ENOENT, "it was removed or replaced while it was in use", str(path))
