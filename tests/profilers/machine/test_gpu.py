from pathlib import Path

import pytest

from hwnas.profilers.machine.gpu import Gpu, gpu


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Puts a program of that name first on the path."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def write(script: str) -> None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    return write


def test_the_first_gpu_is_told(smi) -> None:  # type: ignore[no-untyped-def]
    smi('[ "$3" = --id=0 ] && echo "NVIDIA A100-SXM4-40GB, 550.54.15, 8.0"')
    assert gpu() == Gpu("NVIDIA A100-SXM4-40GB", "550.54.15", "sm_80")


def test_the_first_visible_gpu_is_told(smi, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    smi('[ "$3" = --id=2 ] && echo "NVIDIA H200, 570.1, 9.0"')
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,0")
    found = gpu()
    assert found
    assert found.arch == "sm_90"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpu() is None


@pytest.mark.parametrize("script", ["echo No devices were found; exit 6", "exit 9", "echo a, b"])
def test_no_gpu_is_none(smi, script: str) -> None:  # type: ignore[no-untyped-def]
    smi(script)
    assert gpu() is None


def test_no_driver_is_none(smi) -> None:  # type: ignore[no-untyped-def]
    assert gpu() is None
