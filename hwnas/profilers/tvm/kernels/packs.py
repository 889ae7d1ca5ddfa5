"""Packs: the best known schedule of each kernel of a space, for one target, as a small file.

A schedule runs on any target without a word but well only on its own: one made for AVX2 takes 1.5
times as long on AVX-512, the other way round 3.6 times. So a pack names its target and is taken
only where the processor is one of that kind.
"""

import hashlib
import json
import lzma
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hwnas import files
from hwnas.errors import InputError
from hwnas.profilers.machine.folders import data_home
from hwnas.profilers.machine.processor import processor_family
from hwnas.profilers.tvm.kernels.int8.schedule import RULES
from hwnas.profilers.tvm.target import Target, targets_here

SUFFIX = ".json.xz"
SHIPPED = Path(__file__).parents[1] / "packs"
_FORMAT = 2  # 1 had `mcpu` for a target
_MAX_FILE_BYTES = 8 << 20
_MAX_TEXT_BYTES = files.MAX_JSON_BYTES
_WORD = re.compile(r"(?![.])[A-Za-z0-9 ._+@,()-]{0,128}")
# What tuners write; TVM knows more, such as `pragma_import_llvm`, which links in any code.
_INSTRUCTIONS = {
    *("AddUnitLoop", "Annotate", "Bind", "CacheRead", "CacheWrite", "ComputeAt", "ComputeInline"),
    *("DecomposeReduction", "EnterPostproc", "Fuse", "GetChildBlocks", "GetConsumers"),
    *("GetLoops", "GetOutputBlocks", "GetProducers", "GetSBlock", "Parallel", "RFactor"),
    *("Reorder", "ReverseComputeAt", "ReverseComputeInline", "SampleCategorical"),
    *("SampleComputeLocation", "SamplePartitionedTile", "SamplePerfectTile", "SetScope", "Split"),
    *("StorageAlign", "Unannotate", "Unroll", "Vectorize"),
}
_ANNOTATIONS = frozenset({"pragma_auto_unroll_max_step", "pragma_unroll_explicit"})
_TUNERS_OWN = "meta_schedule."


@dataclass(frozen=True)
class Schedule:
    """How one kernel is best compiled.

    Attributes:
        trace: the schedule's instructions and decisions, as TVM writes them.
        best_us: what the kernel took when it was tuned.
        trials: candidates that were tried.
    """

    trace: Any
    best_us: float
    trials: int


@dataclass(frozen=True)
class Pack:
    """Schedules by kernel key, with what they are good for.

    Attributes:
        space: the key of the space.
        target: what the schedules were tuned for.
        tvm: the version of TVM whose kernel keys and records these are.
        processor: the family it was tuned on.
        made: the day, ISO 8601.
    """

    space: str
    target: Target
    tvm: str
    processor: str
    made: str
    schedules: Mapping[str, Schedule]

    @property
    def name(self) -> str:
        """Such as `demo.x86-64-v4`; what people are told."""
        return f"{self.space}.{self.target.name}"

    @cached_property
    def digest(self) -> str:
        """Eight hexadecimal digits of what decides how kernels are compiled."""
        traces = {key: schedule.trace for key, schedule in self.schedules.items()}
        text = json.dumps([self._target_text, self.tvm, RULES, traces], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    @property
    def id(self) -> str:
        """Name and digest, such as `demo.x86-64-v4-1a2b3c4d`; two packs with it compile alike."""
        return f"{self.name}-{self.digest}"

    @property
    def trials(self) -> int:
        """Candidates tried, over all kernels."""
        return sum(schedule.trials for schedule in self.schedules.values())

    @property
    def _target_text(self) -> str:
        return " ".join(filter(None, [self.target.name, self.target.triple]))


def tvm_version() -> str | None:
    """Returns the installed version of TVM, without importing it; None where there is none."""
    try:
        return version("apache-tvm")
    except PackageNotFoundError:
        return None


def pack_for(
    space: str,
    targets: Sequence[Target] | None = None,
    folder: Path | None = None,
    processor: str | None = None,
) -> Pack | None:
    """Returns the pack to use for a space on a processor; None where nothing fits.

    Better targets come before lesser ones, packs made on this kind of processor before shipped ones;
    packs of another version of TVM are passed over, since its kernel keys may differ.

    Args:
        space: the key of the space.
        targets: what the processor runs, best first; None takes this machine's, for one thread.
        folder: of packs made by the user; None takes `user_folder()`.
        processor: the family that a user's pack must have been made on; None takes this machine's.

    Raises:
        InputError: a pack that would be taken is damaged.
    """
    own = folder if folder is not None else user_folder()
    processor = processor or processor_family()
    for target in targets_here() if targets is None else targets:
        for place in (own, SHIPPED):
            path = place / f"{space}.{target.name}{SUFFIX}"
            if path.exists():
                pack = read_pack(path)
                fits = place == SHIPPED or pack.processor == processor
                if fits and pack.target == target and pack.tvm == tvm_version():
                    return pack
    return None


def given_pack(path: Path, space: str, targets: Sequence[Target]) -> Pack:
    """Returns the pack in a file that a user names.

    Args:
        path: of the file.
        space: the key of the space.
        targets: any of which it may be for.

    Raises:
        InputError: it is damaged, or of another space, target or version of TVM.
    """
    pack = read_pack(path)
    if pack.space != space or pack.target not in targets or pack.tvm != tvm_version():
        raise InputError(
            f"schedule pack {path} must be of space '{space}', of TVM {tvm_version()} and of "
            f"{' or '.join(one.name for one in targets)}, but is {pack.name} of TVM {pack.tvm}"
        )
    return pack


def user_folder() -> Path:
    """Returns the folder of the packs made on this machine, which go before shipped ones."""
    return data_home() / "packs"


def write_pack(pack: Pack, folder: Path, name: str | None = None) -> Path:
    """Returns the path of the pack's file, written into `folder`; equal packs give equal bytes.

    Its name is the pack's, where devices look for it, unless another one is given.
    """
    value = {
        "format": _FORMAT,
        "space": pack.space,
        "target": asdict(pack.target),
        "tvm": pack.tvm,
        "processor": pack.processor,
        "made": pack.made,
        "kernels": {
            key: {"best_us": round(one.best_us, 4), "trials": one.trials, "trace": one.trace}
            for key, one in pack.schedules.items()
        },
    }
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    path = folder / (name or f"{pack.name}{SUFFIX}")
    with files.replacing(path) as temporary:
        temporary.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
    return path


def read_pack(path: Path) -> Pack:
    """Returns the pack in a file.

    Raises:
        InputError: the file is missing, damaged, too large, or not a pack.
    """
    try:
        value = files.parse_json(_unpacked(path))
        if value["format"] not in (1, _FORMAT):
            raise ValueError(f"format {value['format']!r}, but this hwnas reads 1 and {_FORMAT}")
        return Pack(
            space=_text(value, "space"),
            target=_target(value),
            tvm=_text(value, "tvm"),
            processor=_text(value, "processor"),
            made=_text(value, "made"),
            schedules=dict(_schedules(value["kernels"])),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(
            f"schedule pack {path} is not one of ours ({type(error).__name__}: {error}); "
            "delete it or make it again"
        ) from error


def _unpacked(path: Path) -> str:
    try:
        unpacker = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=256 << 20)
        packed = files.read_bytes(path, "schedule pack", _MAX_FILE_BYTES)
        data = unpacker.decompress(packed, max_length=_MAX_TEXT_BYTES)
    except (lzma.LZMAError, EOFError) as error:
        raise InputError(f"schedule pack {path} is damaged ({error}); delete it or make it again") from error
    if not unpacker.eof:
        raise InputError(f"schedule pack {path} is cut short or too large; delete it or make it again")
    return data.decode("utf-8")


def _target(value: Mapping[str, Any]) -> Target:
    if value["format"] == 1:
        return Target(mcpu=_text(value, "mcpu"))
    given = value["target"]
    if given["kind"] not in ("llvm", "cuda"):
        raise ValueError(f"target kind {given['kind']!r}")
    wide = given.get("wide", False) is True
    return Target(given["kind"], _text(given, "mcpu"), _text(given, "triple"), int(given["threads"]), wide)


def _text(value: Mapping[str, Any], name: str) -> str:
    """A word of a pack: it may become a part of the name of a folder, or reach a compiler."""
    if not isinstance(value[name], str) or not _WORD.fullmatch(value[name]):
        raise ValueError(f"{name} must be a plain word")
    return str(value[name])


def _schedules(kernels: Mapping[str, Any]) -> Iterator[tuple[str, Schedule]]:
    for key, value in kernels.items():
        best_us, trace = float(value["best_us"]), value["trace"]
        if not (math.isfinite(best_us) and best_us > 0 and isinstance(trace, list) and len(trace) == 2):
            raise ValueError(f"kernel {key} has no usable schedule")
        for instruction in trace[0]:
            _check_instruction(key, *instruction)
        yield key, Schedule(trace, best_us, int(value["trials"]))


def _check_instruction(key: str, kind: str, inputs: list[Any], attributes: list[Any], *_: Any) -> None:
    """Refuses what no tuner of ours writes: some annotations bring code of their own into a kernel."""
    if kind not in _INSTRUCTIONS:
        raise ValueError(f"kernel {key} has the instruction {str(kind)[:40]!r}")
    named = attributes if kind in ("Annotate", "Unannotate") else ()
    if not all(str(name) in _ANNOTATIONS or str(name).startswith(_TUNERS_OWN) for name in named):
        raise ValueError(f"kernel {key} has the annotation {str(attributes)[:60]}")
