"""Tuning a supernet for few bits and evaluating it at them, as a user does."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Ran

Run = Callable[..., Ran]


def good(ran: Ran) -> Ran:
    assert ran.code == 0, ran.err
    return ran


def test_a_tuned_supernet_says_for_which_bits_and_is_evaluated_at_them(
    hwnas: Run, tmp_path: Path, data: str, supernet: Path
) -> None:
    tuned, table = tmp_path / "tuned.safetensors", tmp_path / "results.csv"
    words = ("train", "--recipe", "quantization-aware", "--from", supernet, "--bits", "3,8", "--data", data)
    small = ("--subnets", 1, "--epochs", 1, "--batch-size", 16, "-o", tuned, "--json")
    metrics = json.loads(good(hwnas(*words, *small)).out)["metrics"]
    assert {"accuracy_top1_largest", "accuracy_top1_largest_3_bits"} <= set(metrics)
    some = ("evaluate", tuned, "--data", data, "--sample", 2, "--bits", "32,3", "-o", table)
    rows = json.loads(good(hwnas(*some, "--json")).out)
    assert [set(row["architecture"]["bits"]["weights"]) for row in rows] == [{32}, {3}, {32}, {3}]
    first, second = ({**row["architecture"], "bits": None} for row in rows[:2])
    assert first == second
    listed = good(hwnas(*some)).out
    assert "bits" in listed.splitlines()[0]


@pytest.mark.parametrize(
    ("words", "needles"),
    [
        (("--recipe", "quantization-aware"), ("--from FILE", "trained already")),
        (("--recipe", "quantization-aware", "--from", "demo", "--bits", "32"), ("bits from 2 to 8",)),
        (("--recipe", "quantization-aware", "--from", "demo", "--bits", "four"), ("--bits must be",)),
        (("--bits", "4"), ("--bits is for the quantization-aware recipe",)),
        (("--learned-steps",), ("--learned-steps is for the quantization-aware recipe",)),
        (("--from", "nowhere.safetensors"), ("cannot read supernet nowhere.safetensors",)),
        (("--from", "demo", "--space", "ofa-resnet50"), ("from a supernet of space 'ofa-resnet50",)),
    ],
)
def test_what_cannot_be_tuned_is_refused(hwnas: Run, tmp_path: Path, words, needles) -> None:
    ran = hwnas("train", "-o", tmp_path / "net.safetensors", *words)
    assert ran.code == 2
    assert "Traceback" not in ran.err
    assert all(needle in " ".join(ran.err.split()) for needle in needles), ran.err
    assert list(tmp_path.iterdir()) == []


def test_bits_that_nothing_runs_are_refused(hwnas: Run, supernet: Path, data: str) -> None:
    ran = hwnas("evaluate", supernet, "--data", data, "--sample", 1, "--bits", "16")
    assert ran.code == 2
    assert "from 2 to 8" in ran.err
