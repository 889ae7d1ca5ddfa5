"""Data sets by name: the built-in ones, those of other packages, and names that are wrong."""

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from hwnas.data import Dataset, dataset_names, get_dataset
from hwnas.errors import InputError


def make_own(argument: str) -> Dataset:
    """What another package's entry point would name."""
    return Dataset(
        name=f"own:{argument}",
        class_names=("a", "b"),
        canvas_px=4,
        fingerprint="0" * 16,
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        make_split=lambda name: pytest.fail("not asked for"),
    )


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Returns a function that registers an entry point for the test."""
    found: list[EntryPoint] = []

    def entry_points(*, group: str) -> list[Any]:
        return [entry for entry in found if entry.group == group]

    monkeypatch.setattr("hwnas.plugins.entry_points", entry_points)
    return lambda name, value: found.append(EntryPoint(name, value, "hwnas.datasets"))


def test_built_in_names() -> None:
    assert {"digits", "imagefolder", "cifar10"} <= set(dataset_names())
    assert get_dataset("digits").name == "digits"


@pytest.mark.parametrize("spec", ["digit", "digitz:", "Digits"])
def test_unknown_name_says_the_nearest(spec: str) -> None:
    with pytest.raises(InputError, match=r"did you mean 'digits'.*cifar10, digits, imagefolder"):
        get_dataset(spec)


def test_empty_name() -> None:
    with pytest.raises(InputError, match="unknown data set ''"):
        get_dataset("")


@pytest.mark.parametrize("spec", ["imagefolder", "imagefolder:", "cifar10", "cifar10:"])
def test_a_path_is_needed(spec: str) -> None:
    with pytest.raises(InputError, match=r"needs a folder: write \w+:PATH"):
        get_dataset(spec)


def test_digits_take_no_path() -> None:
    with pytest.raises(InputError, match="digits takes nothing after a colon"):
        get_dataset("digits:/data")


def test_entry_point(register: Callable[[str, str], None]) -> None:
    register("own", f"{__name__}:make_own")
    assert get_dataset("own:some:where").name == "own:some:where"
    assert get_dataset("own").name == "own:"
    assert "own" in dataset_names()


def test_built_in_comes_first(register: Callable[[str, str], None]) -> None:
    register("digits", f"{__name__}:make_own")
    assert get_dataset("digits").num_classes == 10


def test_entry_point_that_does_not_load(register: Callable[[str, str], None]) -> None:
    register("broken", "a_package_that_is_not_there:make")
    with pytest.raises(InputError, match="'broken' cannot be loaded: ModuleNotFoundError"):
        get_dataset("broken")


def test_importing_is_light() -> None:
    script = (
        "import sys, hwnas.data; print([m for m in ('torch', 'sklearn', 'PIL', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
