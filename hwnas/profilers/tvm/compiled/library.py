"""The library: kernels compiled once a machine, kept as object files and a table.

Its folder's name says what the kernels were compiled with. It grows by the layers that are asked
for: files come first, each at once and whole, and then the table that knows them. Subnets are
linked from it, with no compiler run on account of kernels that it has.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from hwnas import files
from hwnas.errors import InputError
from hwnas.profilers.tvm.compiled.workspace import workspace_bytes
from hwnas.profilers.tvm.intrinsics import prepare_tvm
from hwnas.profilers.tvm.kernels.int8.vnni import form_of, kernel_target
from hwnas.profilers.tvm.kernels.packs import Pack, tvm_version
from hwnas.profilers.tvm.kernels.plan import (
    LayerKey,
    Plan,
    Step,
    kernel_module,
    kernels_of,
    scheduled_kernel,
)
from hwnas.profilers.tvm.kernels.schedule_float import has_rule
from hwnas.profilers.tvm.target import Target
from hwnas.spaces import FLOAT_BITS, Layer, Space
from hwnas.spaces.layer import describe

_TABLE = "table.json"
_FORMAT = 3
# The table is written after so many kernels, a tenth of a CPU s each: a kill costs those since.
_KEPT_EACH = 16
# What a kernel with TVM's plain schedule is expected to take, beside the others.
_PLAIN_SLOWER = 2.0

Made = Literal["tuned", "rule", "plain"]
"""How a kernel's schedule came about: found by tuning, by a rule of ours, or TVM's own for any loops."""


@dataclass(frozen=True)
class Kernel:
    """What is known of a compiled kernel.

    Attributes:
        size_bytes: of its file.
        flops: of one call.
        best_us: what it took when it was tuned; None where it was not.
        made: how its schedule came about.
        workspace_bytes: that it allocates while it runs.
    """

    size_bytes: int
    flops: float
    best_us: float | None
    made: Made
    workspace_bytes: int


@dataclass(frozen=True)
class Coverage:
    """How much of a network runs in which kernels.

    Attributes:
        flops_percent: of its operations in tuned kernels.
        time_percent: of its expected time in tuned kernels.
        ruled_flops_percent: of its operations in kernels scheduled by rule.
    """

    flops_percent: float
    time_percent: float
    ruled_flops_percent: float


@dataclass(frozen=True)
class Library:
    """Compiled kernels on disk.

    Attributes:
        folder: with `KERNEL.o` for each kernel; `KERNEL.ll` where no C compiler could link them.
        target: what they were compiled for.
        pack: name and digest of the schedules they were compiled with.
        plan: the steps of each layer.
        kernels: what is known of each.
        linkable: whether its files are object files.
    """

    folder: Path
    target: Target
    pack: str
    plan: Plan
    kernels: Mapping[str, Kernel]
    linkable: bool = True

    def object_file(self, kernel: str) -> Path:
        """Returns the path of a kernel's file."""
        return self.folder / f"{kernel}{_suffix(self.linkable)}"

    def coverage(self, kernels: Iterable[str]) -> Coverage:
        """Returns how much of these kernel calls is tuned."""
        called = [self.kernels[key] for key in kernels]
        flops = sum(one.flops for one in called) or 1.0
        times = [(one.made, self._expected_us(one)) for one in called]
        time = sum(us for _, us in times) or 1.0

        def percent(made: Made) -> float:
            return 100 * sum(one.flops for one in called if one.made == made) / flops

        tuned_us = sum(us for made, us in times if made == "tuned")
        return Coverage(percent("tuned"), 100 * tuned_us / time, percent("rule"))

    def _expected_us(self, kernel: Kernel) -> float:
        if kernel.best_us is not None:
            return kernel.best_us
        timed = [one for one in self.kernels.values() if one.best_us is not None]
        us_a_flop = sum(one.best_us or 0.0 for one in timed) / (sum(one.flops for one in timed) or 1.0) or 1.0
        return kernel.flops * us_a_flop * (_PLAIN_SLOWER if kernel.made == "plain" else 1.0)


def open_library(
    layers: Sequence[LayerKey],
    pack: Pack,
    place: Path,
    on_progress: Callable[[int, int], None] | None = None,
    linkable: bool = True,
) -> Library:
    """Returns a library with the kernels of layers, compiling those that this machine has not yet.

    Kernels that the pack lacks are compiled with a schedule by rule. The library knows all layers
    that were ever asked for with this pack.

    Several processes may ask at once: one compiles, the others wait for it. A process killed
    meanwhile leaves nothing that is taken for a kernel.

    Args:
        layers: see `space_layers`.
        pack: their schedules.
        place: the folder that holds libraries.
        on_progress: hears of kernels done and kernels in all while it compiles.
        linkable: whether as object files, which are linked; otherwise as LLVM code, which the
            process that measures makes ready in memory.

    Raises:
        InputError: a schedule of the pack does not fit, or the place cannot be written to.
    """
    folder = place / f"{pack.id}-tvm{tvm_version()}{'' if linkable else '-ll'}"
    found = _opened(folder, pack, linkable)
    if any(key not in found.plan for key in layers):
        with _alone(place / f"{folder.name}.lock"):
            found = _opened(folder, pack, linkable)
            missing = [key for key in dict.fromkeys(layers) if key not in found.plan]
            if missing:
                found = _grown(found, missing, pack, on_progress or (lambda done, total: None))
    return found


def has_linker() -> bool:
    """Returns whether there is a C compiler here, which TVM links libraries with."""
    chosen = os.environ.get("CXX") or os.environ.get("CC")
    names = [chosen] if chosen else ["g++", "gcc", "clang++", "clang", "c++", "cc"]
    return any(shutil.which(name) for name in names)


class SpaceLayers:
    """The layers of one space, for devices whose kernels are compiled for a space."""

    def __init__(self, space: Space) -> None:
        """Takes the space."""
        self._space = space

    def refusal(self, layer: Layer) -> str | None:
        """Returns that a layer is not of the space, whatever its bits; None if it is."""
        if replace(layer, weight_bits=FLOAT_BITS, activation_bits=FLOAT_BITS) in self._known:
            return None
        return f"{describe(layer)} is not of space '{self._space.name}', for which this device was opened"

    @cached_property
    def _known(self) -> frozenset[Layer]:
        return frozenset(self._space.vocabulary)


def _suffix(linkable: bool) -> str:
    return ".o" if linkable else ".ll"


def _grown(
    library: Library, layers: Sequence[LayerKey], pack: Pack, on_progress: Callable[[int, int], None]
) -> Library:
    """The library with further layers, once their kernels and the table are on disk."""
    wanted = kernels_of(layers, library.target.channel_multiple)
    missing = {key: one for key, one in sorted(wanted.functions.items()) if key not in library.kernels}
    made: dict[str, Kernel] = {}
    try:
        for key, function in missing.items():
            on_progress(len(made), len(missing))
            with files.replacing(library.object_file(key)) as path:
                made[key] = _compiled(key, function, pack, path, _suffix(library.linkable))
            if len(made) % _KEPT_EACH == 0:
                _write_table(replace(library, kernels={**library.kernels, **made}))
    except BaseException:
        if made:  # Ctrl-C: the same call goes on where this one ended
            _write_table(replace(library, kernels={**library.kernels, **made}))
        raise
    on_progress(len(made), len(missing))
    grown = replace(library, plan={**library.plan, **wanted.plan}, kernels={**library.kernels, **made})
    _write_table(grown)
    return grown


def _write_table(library: Library) -> None:
    steps = [
        [asdict(layer), first, [[s.kernel, s.arguments, s.out_shape, s.dtype] for s in some]]
        for (layer, first), some in library.plan.items()
    ]
    kernels = {key: asdict(one) for key, one in library.kernels.items()}
    files.write_json(library.folder / _TABLE, {"format": _FORMAT, "kernels": kernels, "layers": steps})


def _compiled(key: str, function: Any, pack: Pack, path: Path, suffix: str) -> Kernel:
    """Compiles one kernel to a file."""
    prepare_tvm()
    import tvm

    schedule = pack.schedules.get(key)
    scheduled = scheduled_kernel(function, schedule, key, pack.target)
    target = kernel_target(function, pack.target)
    module = tvm.IRModule({key: scheduled["main"].with_attr("global_symbol", key)})
    tvm.compile(module, target).mod.write_to_file(str(path), suffix[1:])
    plain = kernel_module(function)
    return Kernel(
        size_bytes=path.stat().st_size,
        flops=float(tvm.s_tir.analysis.estimate_tir_flops(plain)),
        best_us=schedule.best_us if schedule else None,
        made="tuned"
        if schedule
        else "rule"
        if form_of(function) or has_rule(plain, pack.target)
        else "plain",
        workspace_bytes=workspace_bytes(scheduled, target),
    )


def _opened(folder: Path, pack: Pack, linkable: bool) -> Library:
    """The library in a folder, without what is damaged; an empty one where there is none."""
    empty = Library(folder, pack.target, pack.id, {}, {}, linkable)
    try:
        table = files.read_json(folder / _TABLE, "table of kernels")
        if table["format"] != _FORMAT:
            return empty
        plan = {
            (Layer(**layer), first): tuple(Step(k, tuple(a), tuple(s), d) for k, a, s, d in steps)
            for layer, first, steps in table["layers"]
        }
        sizes = {entry.name: entry.stat().st_size for entry in os.scandir(folder)}
        kernels = {key: files.checked(Kernel, one) for key, one in table["kernels"].items()}
        if not all(0 <= one.flops < 2**63 and 0 <= (one.best_us or 0.0) < 2**63 for one in kernels.values()):
            raise ValueError("figures that no kernel has")
        whole = {
            key: one
            for key, one in kernels.items()
            if sizes.get(empty.object_file(key).name) == one.size_bytes
        }
        known = {key: steps for key, steps in plan.items() if all(step.kernel in whole for step in steps)}
    except (InputError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return empty
    return replace(empty, plan=known, kernels=whole)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Holds a lock file that other processes wait for; the system lets go of it when we end."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise InputError(
            f"cannot write {error.filename or path}: {error.strerror or error}; "
            "set HWNAS_HOME to a folder that can be written to"
        ) from error
