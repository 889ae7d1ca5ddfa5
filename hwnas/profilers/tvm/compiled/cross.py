"""Linking for other machines: shared libraries from object files that LLVM made for them."""

import importlib.util
import platform
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from hwnas.errors import MeasurementError


class LibraryMaker(ABC):
    """Makes one file of object files for one machine; TVM's `export_library` takes it as `fcompile`.

    Attributes:
        triple: LLVM's name of the machine. TVM writes constants as an object file where it is
            known, otherwise as C, which a linker alone could do nothing with.
    """

    triple: str

    @abstractmethod
    def __call__(self, output: str, objects: Sequence[str]) -> None:
        """Writes the file.

        Raises:
            MeasurementError: the program that does it fails.
        """

    @final
    def get_target_triple(self) -> str:
        """Returns the triple, under the name that TVM asks for."""
        return self.triple


@final
@dataclass(frozen=True)
class Linker(LibraryMaker):
    """A program that links shared libraries.

    Attributes:
        name: what people know it by.
        command: with its arguments, but for the output and the object files.
    """

    triple: str
    name: str
    command: tuple[str, ...]

    def __call__(self, output: str, objects: Sequence[str]) -> None:
        """Links a shared library."""
        done = subprocess.run(
            [*self.command, "-shared", "-o", output, *objects],
            capture_output=True,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C is for the process that the user sees
        )
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            raise MeasurementError(f"{self.name} cannot link {output}: {''.join(last)[:300]}")


@final
@dataclass(frozen=True)
class Archiver(LibraryMaker):
    """A tar of the object files, which the server links with the C compiler that it must have."""

    triple: str

    def __call__(self, output: str, objects: Sequence[str]) -> None:
        """Writes the tar."""
        from tvm.support.tar import tar

        tar(output, list(objects))


def artefact_format(triple: str) -> tuple[str, LibraryMaker]:
    """Returns the suffix of what is sent to a machine with this LLVM triple, and what makes it."""
    linker = linker_for(triple)
    return (".so", linker) if linker else (".tar", Archiver(_gnu(triple)))


def linker_for(triple: str) -> Linker | None:
    """Returns what links here for a machine with this LLVM triple; None where nothing does.

    A compiler for that machine comes first, then LLVM's linker, which serves all, also as a part of Zig.
    """
    gnu = _gnu(triple)
    names = [f"{gnu}-gcc", f"{gnu}-g++"]
    if machine_of(triple) == machine_of(platform.machine()):
        names += ["gcc", "clang", "cc"]
    for name in names:
        if shutil.which(name):
            return Linker(gnu, name, (name,))
    # It needs no C library of the other machine: the process that loads the result has one.
    if shutil.which("ld.lld"):
        return Linker(gnu, "ld.lld", ("ld.lld", "--strip-all"))
    if importlib.util.find_spec("ziglang"):
        return Linker(gnu, "zig ld.lld", (sys.executable, "-m", "ziglang", "ld.lld", "--strip-all"))
    return None


def machine_of(triple: str) -> str:
    """Returns the machine in a triple as Linux names it, such as `aarch64`; this one for an empty triple."""
    machine = (triple or platform.machine()).split("-")[0]
    return {"arm64": "aarch64", "amd64": "x86_64", "AMD64": "x86_64"}.get(machine, machine)


def _gnu(triple: str) -> str:
    return f"{machine_of(triple)}-linux-gnu"
