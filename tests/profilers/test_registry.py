import subprocess
import sys

import pytest

from hwnas.errors import InputError
from hwnas.profilers import device_names, get_device


def test_the_built_in_devices_are_there() -> None:
    assert {"cpu", "cpu-ort", "fpga-zcu102-dpu"} <= set(device_names())


def test_an_unknown_device_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"unknown device 'cpu-rot': did you mean 'cpu-ort'\? known: cpu, "):
        get_device("cpu-rot")


def test_importing_the_floor_loads_no_runtime() -> None:
    script = (
        "import sys, hwnas.profilers, hwnas.profilers.worker\n"
        "hwnas.profilers.device_names()\n"
        "heavy = {'torch', 'tvm', 'onnx', 'onnxruntime', 'scipy', 'sklearn', 'pydantic'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
