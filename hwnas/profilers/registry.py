"""Devices by name: those that come with hwnas, and those other packages register."""

from collections.abc import Callable
from pathlib import Path

from hwnas.plugins import find, known_names
from hwnas.profilers.device import Device
from hwnas.spaces import Space, get_space

ENTRY_POINT_GROUP = "hwnas.devices"
TABLE_PREFIX = "table:"


def device_names() -> list[str]:
    """Returns the names of all devices, built in and registered, usable here or not."""
    return known_names(_BUILT_IN, ENTRY_POINT_GROUP)


def get_device(name: str, space: Space | None = None) -> Device:
    """Returns a device by name; it may not be usable here: ask `unavailable()`.

    Args:
        name: of a built-in device; `table:PATH` for the block table in a CSV file; or of an entry
            point in the group `hwnas.devices`, which must be a function from a `Space` (or None)
            to a `Device`.
        space: whose networks it will run; None takes the demo space where it matters.

    Raises:
        InputError: no such device, with the nearest name; or a table that cannot be used.
    """
    if name.startswith(TABLE_PREFIX):
        return _table(Path(name.removeprefix(TABLE_PREFIX)))
    return find(_BUILT_IN, ENTRY_POINT_GROUP, "device", name)(space)


# Imports are inside: asking for one device must not load the runtimes of the others.


def _tvm(space: Space | None) -> Device:
    from hwnas.profilers.tvm.device import TvmDevice

    return TvmDevice(space or get_space("demo"))


def _onnx_runtime(space: Space | None) -> Device:
    from hwnas.profilers.ort import OnnxRuntimeCpu

    return OnnxRuntimeCpu()


def _dpu(space: Space | None) -> Device:
    from hwnas.profilers.simulated import dpu_device

    return dpu_device("zcu102")


def _table(path: Path) -> Device:
    from hwnas.profilers.simulated import table_device

    return table_device(path)


_BUILT_IN: dict[str, Callable[[Space | None], Device]] = {
    "cpu": _tvm,
    "cpu-ort": _onnx_runtime,
    "fpga-zcu102-dpu": _dpu,
}
