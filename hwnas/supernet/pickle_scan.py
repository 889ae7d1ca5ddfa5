"""Checkpoints looked through before torch reads them: what would make even a safe reader stand still.

`torch.load(weights_only=True)` runs nothing of a file, but a file may keep it busy for ever: a tuple
that holds a smaller one twice, thirty times over, is hashed in 2**30 steps, and what torch tells of a
word of 70,000 characters takes it minutes to write. Or a small file may fill the memory: by members that
unpack to a thousand times their size, or that lie over each other, or by asking for `bytearray(10**12)`.
"""

import os
import pickletools
import zipfile
from collections.abc import Iterator
from typing import IO

_MOST_BYTES = 64 * 2**20
_MOST_OPERATIONS = 1_000_000  # some 40 for each tensor; an operation of one byte may make a list of 56
_LONGEST_WORD = 4096
_DEEPEST = 20
# The older form is a run of pickles: magic number, version, system, content, names of storages.
_MOST_PICKLES = 5
_TUPLES = ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3")
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT")
_GETS = ("GET", "BINGET", "LONG_BINGET")
# By its old name and its new one; torch takes either.
_BYTES = ("builtins bytearray", "__builtin__ bytearray")


def check_pickles(opened: IO[bytes]) -> None:
    """Looks through the pickles of a file of `torch.save`; nothing in them is run.

    Args:
        opened: the file, at its beginning; it is left anywhere.

    Raises:
        ValueError: they are damaged, too large, nested too deeply, hold a word too long to be a name,
            or ask for bytes that are not in the file; or two members of the archive share a name, so
            that readers may take either, or are larger than the file is.
    """
    is_archive = opened.read(4) == b"PK\x03\x04"  # what torch goes by
    opened.seek(0)
    if not is_archive:
        for _ in range(_MOST_PICKLES):
            _check(opened)
        return
    with zipfile.ZipFile(opened) as archive:
        names = archive.namelist()
        if len(set(names)) < len(names):
            raise ValueError("two members of the archive have one name")
        # torch.save compresses nothing: what is in its archives takes its room in the file.
        if sum(one.file_size for one in archive.infolist()) > opened.seek(0, os.SEEK_END):
            raise ValueError("the members of the archive are larger than the archive")
        for name in names:
            if name.endswith(".pkl"):
                if archive.getinfo(name).file_size > _MOST_BYTES:
                    raise ValueError(f"{name[:80]} is too large")
                with archive.open(name) as member:
                    _check(member)


def _check(pickled: IO[bytes]) -> None:
    depths: dict[object, int] = {}
    fetched = made = 0
    for number, (name, argument) in enumerate(_operations(pickled)):
        if number > _MOST_OPERATIONS:
            raise ValueError("it has too many operations")
        if isinstance(argument, str | bytes) and max(map(len, argument.split()), default=0) > _LONGEST_WORD:
            raise ValueError(f"a word is longer than {_LONGEST_WORD} characters")
        if name == "GLOBAL" and argument in _BYTES:
            raise ValueError("it asks for bytes that are not in the file")
        if name in _GETS:
            # A bound, which is exact where no tuple stands in two others: there it stays zero.
            fetched = max(fetched, depths.get(argument, 0))
        elif name in _PUTS and made:
            depths[argument] = made
        if name not in _PUTS:
            made = fetched + 1 if name in _TUPLES else 0
        if made > _DEEPEST:
            raise ValueError(f"tuples stand in tuples more than {_DEEPEST} deep")


def _operations(pickled: IO[bytes]) -> Iterator[tuple[str, object]]:
    for operation, argument, _ in pickletools.genops(pickled):
        yield operation.name, argument
