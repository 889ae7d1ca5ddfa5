"""The NVIDIA GPU that runtimes here would take: the first visible one."""

import os
import shutil
import subprocess
from dataclasses import dataclass

NO_GPU = "it needs an NVIDIA GPU and NVIDIA's driver, and nvidia-smi finds none here"

_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Gpu:
    """What is known of a GPU without loading a runtime.

    Attributes:
        name: as sold, such as `NVIDIA A100-SXM4-40GB`.
        driver: its version.
        arch: the name compilers know it by, such as `sm_80`.
    """

    name: str
    driver: str
    arch: str


def gpu() -> Gpu | None:
    """Returns the GPU that CUDA programs take by default; None where there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    query = [program, "--query-gpu=name,driver_version,compute_cap", "--format=csv,noheader"]
    # Programs count from the first visible one, nvidia-smi from the first of all.
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    if not first or first.startswith("-"):
        return None
    try:
        ran = subprocess.run(
            [*query, f"--id={first}"], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    fields = [field.strip() for field in ran.stdout.partition("\n")[0].split(",")]
    if ran.returncode != 0 or len(fields) != 3:
        return None
    name, driver, capability = fields
    return Gpu(name, driver, f"sm_{capability.replace('.', '')}")
