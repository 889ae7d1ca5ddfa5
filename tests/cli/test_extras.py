"""What is optional and not installed: one line that names the extra, exit code 2, no traceback."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Ran

Run = Callable[..., Ran]

METERED = "name: metered\nruntime: onnxruntime\nthreads: 1\nenergy: {meter: nvml}\n"


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes a module, and all in it, one that cannot be imported."""

    def remove(module: str) -> None:
        inside = [name for name in sys.modules if name == module or name.startswith(f"{module}.")]
        for name in {module, *inside}:
            monkeypatch.setitem(sys.modules, name, None)

    return remove


def words_for(extra: str, folder: Path, data: str, supernet: Path) -> list[object]:
    train = ["train", "--data", data, "--epochs", 1, "--batch-size", 16, "-o", folder / "net.safetensors"]
    (folder / "metered.yaml").write_text(METERED)
    return {
        "augment": [*train, "--rand-augment", 1],
        "tensorboard": [*train, "--tensorboard", folder / "board"],
        "ray": ["evaluate", supernet, "--data", data, "--sample", 2, "--ray", "local"],
        "nvml": ["profile", "--device", folder / "metered.yaml", "--energy", "measured"],
    }[extra]


@pytest.mark.parametrize(
    ("extra", "module"),
    [
        ("augment", "kornia"),
        ("tensorboard", "torch.utils.tensorboard"),
        ("ray", "ray"),
        ("nvml", "pynvml"),
    ],
)
def test_an_absent_extra_is_named(
    extra: str,
    module: str,
    hwnas: Run,
    absent: Callable[[str], None],
    tmp_path: Path,
    data: str,
    supernet: Path,
) -> None:
    absent(module)
    ran = hwnas(*words_for(extra, tmp_path, data, supernet))
    assert ran.code == 2, ran.err
    last = ran.err.splitlines()[-1]
    assert last.startswith("hwnas: ")
    assert f"hwnas[{extra}]" in last
    assert "Traceback" not in ran.err
    assert not (tmp_path / "net.safetensors").exists()
