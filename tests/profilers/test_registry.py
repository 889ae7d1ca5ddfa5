import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from hwnas.errors import InputError
from hwnas.profilers import device_names, get_device
from hwnas.profilers.ort.device import OnnxRuntimeDevice
from hwnas.profilers.registry import ENTRY_POINT_GROUP, yaml_of_device


def test_the_built_in_devices_are_there() -> None:
    cpus = {"cpu", "cpu-ort", "cpu-torch", "cpu-torch-compiled"}
    assert cpus | {"cuda", "cuda-ort", "cuda-torch", "fpga-zcu102-dpu"} <= set(device_names())


def test_an_unknown_device_names_the_nearest() -> None:
    with pytest.raises(
        InputError, match=r"unknown device 'cpu-rot': did you mean 'cpu-ort'\? known: bismo, bitfusion, cpu, "
    ):
        get_device("cpu-rot")


def test_a_device_of_another_package_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    made = OnnxRuntimeDevice("theirs")
    point = EntryPoint("theirs", "their.package:device", ENTRY_POINT_GROUP)
    monkeypatch.setattr(EntryPoint, "load", lambda self: lambda space: made)
    monkeypatch.setattr("hwnas.plugins.entry_points", lambda group: [point])
    assert "theirs" in device_names()
    assert get_device("theirs") is made
    with pytest.raises(InputError, match="have no YAML form, but got 'theirs'"):
        yaml_of_device("theirs")


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="rpc:HOST:PORT/KEY"):
        get_device("rpc:here")


def test_importing_the_floor_loads_no_runtime() -> None:
    script = (
        "import sys, hwnas.profilers, hwnas.profilers.measuring.worker\n"
        "hwnas.profilers.device_names()\n"
        "heavy = {'torch', 'tvm', 'onnx', 'onnxruntime', 'scipy', 'sklearn', 'pydantic'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
