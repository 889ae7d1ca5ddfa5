"""Devices by name: those that come with hwnas, those other packages register, and those in files."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.errors import InputError
from hwnas.plugins import find, known_names
from hwnas.profilers.accelerators.shipped import shipped_fields, shipped_names, shipped_text
from hwnas.profilers.device import Device
from hwnas.spaces import Space, get_space

if TYPE_CHECKING:
    from hwnas.profilers.description import DeviceFile
    from hwnas.profilers.device_file import TvmFile

ENTRY_POINT_GROUP = "hwnas.devices"
TABLE_PREFIX = "table:"
RPC_PREFIX = "rpc:"
FILE_ENDINGS = (".yaml", ".yml")

# As a device file would say it.
_BUILT_IN: dict[str, dict[str, Any]] = {
    "cpu": {"runtime": "tvm"},
    "cpu-ort": {"runtime": "onnxruntime"},
    "cpu-torch": {"runtime": "torch"},
    "cpu-torch-compiled": {"runtime": "torch", "compile": True},
    "cuda": {"runtime": "tvm", "target": {"kind": "cuda"}},
    "cuda-ort": {"runtime": "onnxruntime", "provider": "cuda"},
    "cuda-torch": {"runtime": "torch", "provider": "cuda"},
}


def device_names() -> list[str]:
    """Returns the names of all devices, built in and registered, usable here or not."""
    return known_names([*_BUILT_IN, *shipped_names()], ENTRY_POINT_GROUP)


def get_device(name: str, space: Space | None = None) -> Device:
    """Returns a device by name; it may not be usable here: ask `unavailable()`.

    Args:
        name: of a built-in device; a device file, which ends in `.yaml` or `.yml`; `table:PATH` for
            the block table in a CSV file; `rpc:HOST:PORT/KEY` for the machines of a key at a TVM
            RPC tracker; or of an entry point in the group `hwnas.devices`, which must be a function
            from a `Space` (or None) to a `Device`.
        space: whose networks it will run; None takes the demo space where it matters.

    Raises:
        InputError: no such device, with the nearest name; or a file that cannot be used.
    """
    if name.startswith(TABLE_PREFIX):
        from hwnas.profilers.simulated import table_device

        return table_device(Path(name.removeprefix(TABLE_PREFIX)))
    if name.startswith(RPC_PREFIX):
        from hwnas.profilers.tvm.remote.device import remote_device

        return remote_device(name.removeprefix(RPC_PREFIX), space or get_space("demo"))
    if name.endswith(FILE_ENDINGS):
        from hwnas.profilers.device_file import read_device_file

        file, lines = read_device_file(Path(name))
        return _described(file, space, name, lines)
    built_in = {one: partial(_built_in, one) for one in (*_BUILT_IN, *shipped_names())}
    return find(built_in, ENTRY_POINT_GROUP, "device", name)(space)


def device_of_definition(definition: Mapping[str, Any], space: Space | None = None) -> Device:
    """Returns the device of a definition: the fields of a device file, such as `Device.definition`.

    Raises:
        InputError: fields that are missing, unknown or out of range, or the name of another device.
    """
    from hwnas.profilers.device_file import device_file

    where = "the device's definition"
    return _described(device_file(definition, where), space, where, None)


def yaml_of_device(name: str, space: Space | None = None) -> str:
    """Returns the YAML file of a device, to start another one from.

    Raises:
        InputError: no such device, or one that no file can describe.
    """
    from hwnas.profilers.device_file import device_file, device_yaml, read_device_file

    if name.endswith(FILE_ENDINGS):
        return device_yaml(read_device_file(Path(name))[0])
    get_device(name, space)  # unknown names end here
    if name in shipped_names():
        return shipped_text(name)
    if name in _BUILT_IN:
        return device_yaml(device_file(_fields(name), name))
    raise InputError(f"devices from other packages and addresses have no YAML form, but got '{name}'")


def _built_in(name: str, space: Space | None) -> Device:
    from hwnas.profilers.device_file import device_file

    return _opened(device_file(_fields(name), name), space)


def _fields(name: str) -> dict[str, Any]:
    """What a device file would say of a built-in device."""
    return {"name": name, **_BUILT_IN[name]} if name in _BUILT_IN else shipped_fields(name)


def _described(
    file: "DeviceFile", space: Space | None, where: str, lines: "Mapping[tuple[str | int, ...], int] | None"
) -> Device:
    """The device of a file; one that is exactly a built-in device is that device."""
    from hwnas.profilers.device_file import definition, device_file
    from hwnas.spaces.yaml_model import file_error

    known = file.name in _BUILT_IN or file.name in shipped_names()
    if known and file == device_file(_fields(file.name), where):
        return _built_in(file.name, space)
    if file.name in device_names():
        says = f"'{file.name}' is the name of another device already; choose a name of your own"
        raise file_error([(("name",), says)], where, lines)
    device = _opened(file, space)
    device.definition = definition(file)
    return device


# Imports are inside: asking for one device must not load the runtimes of the others.


def _opened(file: "DeviceFile", space: Space | None) -> Device:
    from hwnas.profilers import device_file as files

    if isinstance(file, files.TvmFile):
        device = _with_bits(_tvm(file, space or get_space("demo")), file.bits)
    elif isinstance(file, files.OnnxRuntimeFile):
        from hwnas.profilers.ort.device import OnnxRuntimeDevice

        device = OnnxRuntimeDevice(file.name, files.placement(file), file.bits)
    elif isinstance(file, files.TorchFile):
        from hwnas.profilers.torch.device import TorchDevice

        device = TorchDevice(file.name, files.placement(file), file.compile)
    elif isinstance(file, files.TableFile):
        from hwnas.profilers.cost_models import TableModel
        from hwnas.profilers.simulated import SimulatedDevice
        from hwnas.profilers.tables.file import read_table

        device = SimulatedDevice(file.name, TableModel(read_table(Path(file.table))))
    else:
        from hwnas.profilers.accelerators.accelerator import Accelerator
        from hwnas.profilers.cost_models import AcceleratorModel
        from hwnas.profilers.simulated import SimulatedDevice

        assert isinstance(file, Accelerator)
        device = SimulatedDevice(file.name, AcceleratorModel(file))
    device.energy = file.energy
    return device


def _with_bits(device: Device, bits: tuple[int, ...] | None) -> Device:
    """The device, kept to fewer bits than it runs."""
    if bits is None:
        return device
    if not set(bits) <= set(device.bits):
        runs, asked = (", ".join(map(str, some)) for some in (device.bits, bits))
        raise InputError(f"device '{device.name}' runs {runs} bits here, but its file asks for {asked}")
    device.bits = bits
    return device


def _tvm(file: "TvmFile", space: Space) -> Device:
    from hwnas.profilers.tvm.target import Target

    target = None
    if file.target is not None and file.target.mcpu:
        asked = file.target
        target = Target(asked.kind, asked.mcpu, asked.triple, file.threads, asked.wide)
    schedules = None if file.schedules is None else Path(file.schedules)
    if file.rpc is not None:
        from hwnas.profilers.tvm.remote.device import remote_device

        address = f"{file.rpc.host}:{file.rpc.port}/{file.rpc.key}"
        return remote_device(
            address, space, name=file.name, target=target, threads=file.threads, schedules=schedules
        )
    if file.target is not None and file.target.kind == "cuda":
        from hwnas.profilers.tvm.cuda import CudaTvm

        return CudaTvm(space, name=file.name, target=target, schedules=schedules)
    from hwnas.profilers.tvm.device import TvmDevice

    return TvmDevice(
        space,
        name=file.name,
        threads=file.threads,
        cores=None if file.cores is None else list(file.cores),
        schedules=schedules,
        target=target,
    )
