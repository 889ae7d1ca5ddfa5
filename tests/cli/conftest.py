"""Running the command line inside the test's process, and what it is run on."""

import contextlib
import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from hwnas.cli.main import main
from hwnas.spaces import get_space
from hwnas.supernet import Supernet, SupernetInfo, save_supernet


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str


@pytest.fixture
def hwnas(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Runs `hwnas WORDS…` and returns its exit code and output."""

    def run(*words: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["hwnas", *map(str, words)])
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as left,
        ):
            main()
        code = left.value.code
        return Ran(code if isinstance(code, int) else 0, out.getvalue(), err.getvalue())

    return run


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """CIFAR-10's files with a few records whose mean colour tells the class."""
    folder = tmp_path_factory.mktemp("cifar-10-batches-bin")
    rng = np.random.default_rng(0)
    for name in [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]:
        labels = rng.integers(0, 10, 40)
        pixels = rng.integers(0, 60, (40, 3072)) + 19 * labels[:, None]
        content = np.concatenate([labels[:, None], pixels], axis=1).astype(np.uint8)
        (folder / name).write_bytes(content.tobytes())
    return f"cifar10:{folder}"


@pytest.fixture(scope="session")
def supernet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A supernet of the demo space with random weights."""
    torch.manual_seed(0)
    made = Supernet(get_space("demo"))
    made.info = SupernetInfo(
        space="demo", num_classes=10, image_sizes=(32, 48), recipe={}, data="cifar10", data_fingerprint="none"
    )
    path = tmp_path_factory.mktemp("supernet") / "random.safetensors"
    save_supernet(made, path)
    return path
