"""Packs handed from one machine to another of the same processor family."""

from dataclasses import replace
from pathlib import Path

from hwnas.errors import InputError
from hwnas.profilers.tvm.kernels.packs import SUFFIX, Pack, read_pack, tvm_version, user_folder, write_pack


def export_pack(pack: Pack, path: Path) -> int:
    """Writes a pack, the best schedule of each kernel, to a file to share; returns its size in bytes.

    Raises:
        InputError: the file's name has another ending than packs have.
    """
    if not path.name.endswith(SUFFIX):
        raise InputError(f"a schedule pack's name must end in {SUFFIX}, but got {path.name}")
    return write_pack(pack, path.parent, path.name).stat().st_size


def import_pack(path: Path, folder: Path | None = None) -> Pack:
    """Returns the pack of a file as devices will use it from now on.

    It goes to the user's packs. Where there is one of the same space, target and processor family,
    the better record of each kernel is kept; one of another family is replaced.

    Args:
        path: what `export_pack` wrote, maybe elsewhere.
        folder: of the user's packs; None takes `user_folder()`.

    Raises:
        InputError: it is damaged, or of another version of TVM, whose kernels may differ.
    """
    pack = read_pack(path)
    if pack.tvm != tvm_version():
        raise InputError(
            f"schedule pack {path} must be of TVM {tvm_version()}, which is installed, but is of {pack.tvm}; "
            "make it again with this version"
        )
    folder = folder or user_folder()
    own = folder / f"{pack.name}{SUFFIX}"
    merged = merged_packs(read_pack(own), pack) if own.exists() else pack
    write_pack(merged, folder)
    return merged


def merged_packs(own: Pack, other: Pack) -> Pack:
    """Returns the better record of each kernel of two packs; the other one where they do not compare."""
    if (own.tvm, own.processor, own.target) != (other.tvm, other.processor, other.target):
        return other
    schedules = dict(own.schedules)
    for key, schedule in other.schedules.items():
        if key not in schedules or schedule.best_us < schedules[key].best_us:
            schedules[key] = schedule
    return replace(other, schedules=schedules)
