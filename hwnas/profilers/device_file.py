"""Devices that users describe: a YAML file, or the same fields as JSON."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from hwnas.profilers.accelerators.bit_serial import BitSerial
from hwnas.profilers.accelerators.bitfusion import BitFusion
from hwnas.profilers.accelerators.dpu import Dpu
from hwnas.profilers.description import DeviceFile, Section
from hwnas.profilers.machine.placement import Placement, Provider
from hwnas.profilers.machine.processor import cores_here
from hwnas.spaces.mobilenet_recipe import refused, shown
from hwnas.spaces.yaml_model import Lines, file_error, read_yaml_text, validated
from hwnas.spaces.yaml_text import parse_yaml, yaml_lines

EXAMPLE = "hwnas devices cpu-ort --yaml"


def _checked_bits(value: Any) -> tuple[int, ...]:
    listed = value if isinstance(value, list | tuple) else [value]
    known = {32, 8}
    if not listed or not all(isinstance(one, int) and one in known for one in listed):
        raise refused(f"must be 32, 8 or [32, 8], but got {shown(value)}")
    return tuple(sorted(set(listed), reverse=True))


Bits = Annotated[tuple[int, ...], BeforeValidator(_checked_bits)]
Count = Annotated[int, Field(ge=1, le=1024)]
Cores = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(strict=False)]


class _Local(DeviceFile):
    """Threads of this machine.

    Attributes:
        threads: that share an operation.
        cores: the cores they are pinned to, one each; None takes the last ones.
    """

    threads: Count = 1
    cores: Cores | None = None

    @model_validator(mode="after")
    def _fits_this_machine(self) -> "_Local":
        if self.is_here:
            usable = cores_here()
            if self.threads > len(usable):
                raise refused(
                    f"must be at most {len(usable)}, the cores this process may use, but got {self.threads}",
                    "threads",
                )
            if self.cores is not None and not set(self.cores) <= set(usable):
                raise refused(
                    f"must be some of {usable}, which this process may use, but got {list(self.cores)}",
                    "cores",
                )
        if self.cores is not None and not len(self.cores) == len(set(self.cores)) == self.threads:
            raise refused(
                f"must be as many different ones as threads ({self.threads}), but got {list(self.cores)}",
                "cores",
            )
        return self

    @property
    def is_here(self) -> bool:
        """Whether it is this machine that runs the networks."""
        return True


class OnnxRuntimeFile(_Local):
    """ONNX Runtime on the processor or a GPU of this machine.

    Attributes:
        provider: `cpu`, or `cuda` for the first visible GPU.
        batch: images that run together.
        bits: bitwidths to run; None takes all that the provider runs well.
    """

    runtime: Literal["onnxruntime"]
    provider: Provider = "cpu"
    batch: Count = 1
    bits: Bits | None = None

    @model_validator(mode="after")
    def _runs_the_bits(self) -> "OnnxRuntimeFile":
        if self.provider == "cuda" and self.bits not in (None, (32,)):
            raise refused(f"must be 32 on cuda, but got {shown(list(self.bits or ()))}", "bits")
        return self


class TorchFile(_Local):
    """PyTorch on the processor or a GPU of this machine.

    Attributes:
        provider: `cpu`, or `cuda` for the first visible GPU.
        compile: whether torch.compile makes one program of each network.
        batch: images that run together.
    """

    runtime: Literal["torch"]
    provider: Provider = "cpu"
    compile: bool = False
    batch: Count = 1


class TargetSection(Section):
    """What TVM compiles for; see `hwnas.profilers.tvm.target.Target`.

    Attributes:
        mcpu: empty for the processor, or the GPU, that is there.
        wide: whether to fill maps up to vectors of 512 bits, for processors that multiply them in one go.
    """

    kind: Literal["llvm", "cuda"] = "llvm"
    mcpu: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9._+-]*$")] = ""
    triple: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9._-]*$")] = ""
    wide: bool = False


class RpcSection(Section):
    """Servers of one key at a TVM RPC tracker."""

    host: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9.:_\[\]-]+$")]
    port: Annotated[int, Field(ge=1, le=65535)] = 9190
    key: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^/\s]+$")]


class TvmFile(_Local):
    """TVM on this machine, its GPU, or the machines behind a tracker.

    Attributes:
        target: what kernels are compiled for; None for the processor that is there.
        rpc: where the machines are; None for this one.
        schedules: a file of tuned schedules; None takes the best that are known.
        bits: bitwidths to run; None takes all that can run there.
    """

    paths = ("schedules",)

    runtime: Literal["tvm"]
    target: TargetSection | None = None
    rpc: RpcSection | None = None
    schedules: str | None = None
    bits: Bits | None = None

    @property
    def is_here(self) -> bool:
        """Whether it is this machine that runs the networks."""
        return self.rpc is None

    @model_validator(mode="after")
    def _fits_together(self) -> "TvmFile":
        if self.rpc is not None and self.cores is not None:
            raise refused("must be left out with rpc: only threads of this machine are pinned", "cores")
        if self.is_here and self.target is not None and self.target.triple:
            raise refused("must be left out without rpc: this machine runs its own code", "target.triple")
        if self.target is not None and self.target.kind == "cuda" and (self.threads > 1 or self.cores):
            raise refused(
                "must be left out with a target of kind cuda", "threads" if self.threads > 1 else "cores"
            )
        return self


class TableFile(DeviceFile):
    """A block table in a CSV file."""

    paths = ("table",)

    runtime: Literal["table"]
    table: str


_RUNTIMES: dict[str, type[DeviceFile]] = {
    "tvm": TvmFile,
    "onnxruntime": OnnxRuntimeFile,
    "torch": TorchFile,
    "table": TableFile,
    "dpu": Dpu,
    "bitfusion": BitFusion,
    "bit-serial": BitSerial,
}


def read_device_file(path: Path) -> tuple[DeviceFile, Mapping[tuple[str | int, ...], int]]:
    """Returns the device that a YAML file describes, and the line of each field.

    Raises:
        InputError: a file that describes none; the message names each wrong line.
    """
    value, lines = parse_yaml(read_yaml_text(path, "device"), str(path), "device", EXAMPLE)
    return device_file(value, str(path), lines).placed(path.parent), lines


def device_file(value: Any, where: str, lines: Lines = None) -> DeviceFile:
    """Returns the device that the fields describe.

    Args:
        value: the fields, as in a file.
        where: begins messages.
        lines: of each field in the file; None where there is none.

    Raises:
        InputError: fields that are missing, unknown or out of range.
    """
    runtimes = f"{', '.join(list(_RUNTIMES)[:-1])} or {list(_RUNTIMES)[-1]}"
    if not isinstance(value, Mapping):
        says = f"must be a mapping with name and runtime ({runtimes}), but got {type(value).__name__}"
        raise file_error([((), says)], where, lines)
    if "runtime" not in value:
        raise file_error([((), f"must have runtime too: {runtimes}")], where, lines)
    runtime = value["runtime"]
    if not isinstance(runtime, str) or runtime not in _RUNTIMES:
        raise file_error([(("runtime",), f"must be {runtimes}, but got {shown(runtime)}")], where, lines)
    return validated(_RUNTIMES[runtime], value, where, lines)


def definition(file: DeviceFile) -> dict[str, Any]:
    """Returns the fields that are not as they would be anyway, as JSON."""
    return file.model_dump(mode="json", exclude_defaults=True)


def device_yaml(file: DeviceFile) -> str:
    """Returns the YAML file of a device, to start another one from; further fields in a comment."""
    short = definition(file)
    full = file.model_dump(mode="json", exclude_none=True)
    given = {field: short.get(field) if isinstance(value, dict) else value for field, value in full.items()}
    given = {field: value for field, value in given.items() if value is not None}
    others = [field for field in type(file).model_fields if field not in given]
    comment = f"# and, where they are wanted: {', '.join(others)}\n" if others else ""
    return "\n".join(yaml_lines(given)) + "\n" + comment


def placement(file: OnnxRuntimeFile | TorchFile) -> Placement:
    """Returns where the device runs."""
    return Placement(provider=file.provider, threads=file.threads, batch=file.batch, cores=file.cores)
