"""The library: a space's kernels compiled once a machine, kept as object files and a table.

The folder appears at once and whole, under a name that says what it holds; nobody writes in it
afterwards. Subnets are linked from it, with no compiler run on their account.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hwnas import files
from hwnas.errors import InputError
from hwnas.profilers.tvm.intrinsics import prepare_tvm
from hwnas.profilers.tvm.kernels import (
    LayerKey,
    Plan,
    SpaceKernels,
    Step,
    applied,
    kernel_module,
    kernels_of,
    target_of,
)
from hwnas.profilers.tvm.packs import Pack, tvm_version
from hwnas.spaces import Layer

_TABLE = "table.json"
_FORMAT = 1


@dataclass(frozen=True)
class Library:
    """Compiled kernels on disk.

    Attributes:
        folder: with `KERNEL.o` for each kernel.
        mcpu: the target they were compiled for.
        pack: name and digest of the schedules they were compiled with.
        plan: the steps of each layer.
    """

    folder: Path
    mcpu: str
    pack: str
    plan: Plan

    def object_file(self, kernel: str) -> Path:
        """Returns the path of a kernel's object file."""
        return self.folder / f"{kernel}.o"


def open_library(
    layers: Sequence[LayerKey], pack: Pack, place: Path, on_progress: Callable[[int, int], None] | None = None
) -> Library:
    """Returns the compiled kernels of layers, compiling them if this machine has not yet.

    Several processes may ask at once: one compiles, the others wait for it. A process killed
    meanwhile leaves nothing that is taken for a library.

    Args:
        layers: every layer of the space, see `space_layers`.
        pack: their schedules.
        place: the folder that holds libraries.
        on_progress: hears of kernels done and kernels in all while it compiles.

    Raises:
        InputError: the pack misses a kernel, or the place cannot be written to.
    """
    folder = place / f"{pack.id}-{_layers_digest(layers)}-tvm{tvm_version()}"
    found = _opened(folder, layers, pack)
    if found is None:
        with _alone(place / f"{folder.name}.lock"):
            found = _opened(folder, layers, pack)
            if found is None:
                _compile(layers, pack, folder, on_progress or (lambda done, total: None))
                found = _opened(folder, layers, pack)
    assert found is not None, folder
    return found


def has_linker() -> bool:
    """Returns whether there is a C compiler here, which TVM links libraries with."""
    chosen = os.environ.get("CXX") or os.environ.get("CC")
    names = [chosen] if chosen else ["g++", "gcc", "clang++", "clang", "c++", "cc"]
    return any(shutil.which(name) for name in names)


def missing_kernels(kernels: SpaceKernels, pack: Pack) -> list[str]:
    """Returns descriptions of the layers whose kernels a pack lacks, each with the kernel's key."""
    lacking = {key for key in kernels.functions if key not in pack.schedules}
    named: dict[str, str] = {}
    for (layer, _), steps in kernels.plan.items():
        for step in steps:
            if step.kernel in lacking:
                named.setdefault(step.kernel, f"{step.kernel} ({describe(layer)})")
    return list(named.values())


def describe(layer: Layer) -> str:
    """Returns a layer in a few words: `mbconv 24->40 k5 s2 144 wide at 24 px`."""
    parts = [layer.kind, f"{layer.in_channels}->{layer.out_channels}"]
    if layer.kind not in ("pool", "linear"):
        parts += [f"k{layer.kernel}", f"s{layer.stride}"]
    if layer.mid_channels:
        parts.append(f"{layer.mid_channels} wide")
    return " ".join([*parts, f"at {layer.in_size_px} px"])


def _compile(
    layers: Sequence[LayerKey], pack: Pack, folder: Path, on_progress: Callable[[int, int], None]
) -> None:
    prepare_tvm()
    import tvm

    kernels = kernels_of(layers)
    lacking = missing_kernels(kernels, pack)
    if lacking:
        more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        raise InputError(
            f"schedule pack {pack.name} has no schedule for {len(lacking)} of {len(kernels.functions)} "
            f"kernels: {', '.join(lacking[:3])}{more}; "
            f"run: hwnas profile --device cpu --space {pack.space} --tune-budget 10min"
        )
    draft = folder.with_name(f"{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)  # of a process that was killed: we hold the lock
    draft.mkdir(parents=True)
    target = target_of(pack.mcpu)
    for done, (key, function) in enumerate(sorted(kernels.functions.items())):
        on_progress(done, len(kernels.functions))
        scheduled = applied(kernel_module(function), pack.schedules[key], key).mod["main"]
        module = tvm.IRModule({key: scheduled.with_attr("global_symbol", key)})
        tvm.compile(module, target).mod.write_to_file(str(draft / f"{key}.o"))
    on_progress(len(kernels.functions), len(kernels.functions))
    sizes = {key: (draft / f"{key}.o").stat().st_size for key in sorted(kernels.functions)}
    steps = [[[s.kernel, s.arguments, s.out_shape] for s in kernels.plan[layer]] for layer in layers]
    files.write_json(draft / _TABLE, {"format": _FORMAT, "objects": sizes, "steps": steps})
    for path in draft.iterdir():
        with open(path, "rb") as written:
            os.fsync(written.fileno())
    shutil.rmtree(folder, ignore_errors=True)  # one that was damaged
    draft.rename(folder)


def _opened(folder: Path, layers: Sequence[LayerKey], pack: Pack) -> Library | None:
    """The library in a folder; None where there is none or some of it is gone."""
    try:
        table = json.loads((folder / _TABLE).read_text(encoding="utf-8"))
        whole = all((folder / f"{key}.o").stat().st_size == size for key, size in table["objects"].items())
        if table["format"] != _FORMAT or not whole:
            return None
        steps = [tuple(Step(k, tuple(a), tuple(s)) for k, a, s in rows) for rows in table["steps"]]
        return Library(folder, pack.mcpu, pack.id, dict(zip(layers, steps, strict=True)))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _layers_digest(layers: Sequence[LayerKey]) -> str:
    import hashlib

    return hashlib.sha256(repr(list(layers)).encode()).hexdigest()[:8]


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
