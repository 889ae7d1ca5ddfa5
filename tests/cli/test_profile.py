"""`hwnas profile`: what it prints, which options do not go together, and block mode on a real runtime."""

import json
import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from hwnas.cli.profile_show import next_command, show
from hwnas.export.profiling import ProfileSettings, profile_device
from hwnas.profilers import Protocol, get_device
from hwnas.profilers.tables.file import read_table
from hwnas.spaces import get_space
from hwnas.units import parse_time_ms

from .conftest import Ran
from .test_bad_input import refused

Run = Callable[..., Ran]

TINY = """\
name: tiny-of-profile
num_classes: 4
image_sizes: [16]
stem: {width: 8}
stages:
  - {width: 16, depth: [1, 2], kernel: [3, 5], expand: [2, 3], stride: 2}
head: {width: 24}
"""

HELD_OUT = {
    "rmse": 0.01,
    "mape_percent": 2.5,
    "within_5_percent": 90.0,
    "within_10_percent": 100.0,
    "spearman": 0.99,
    "kendall_tau": None,
    "coverage_90": 0.9,
    "mean_interval_width": 0.1,
    "n": 80,
}

RESULT = {
    "device": "cpu",
    "space": "demo",
    "kind": "measured",
    "measured": 80,
    "model": "gp",
    "newly_measured": 56,
    "repeated": 4,
    "groups": 7,
    "seconds": 90.0,
    "stability": {
        "stable": 78,
        "unstable": 2,
        "drift_corrected_percent": {"least": 0.0, "median": 1.25, "largest": 9.5},
        "first_reason": "busy",
    },
    "tuned_flops_percent": {"least": 71.2, "median": 79.6, "largest": 100.0},
    "ruled_flops_percent": {"least": 0.0, "median": 20.4, "largest": 28.8},
    "conditions": {"pack": "demo-x86-64-v4-abc"},
    "held_out": HELD_OUT,
    "fastest": {
        "id": "aaaa",
        "latency_ms": {"value": 0.0312, "p95": 0.0355},
        "peak_memory_bytes": 65536,
        "planned_memory": {"total_bytes": 98304},
    },
    "slowest": {
        "id": "bbbb",
        "latency_ms": {"value": 1.5, "p95": 1.75},
        "peak_memory_bytes": 276480,
        "planned_memory": {"total_bytes": 400000},
    },
    "breakdown": {
        "id": "cccc",
        "whole_ms": 0.2,
        "telling_ms": 0.0012,
        "shares": [
            {"kind": "pointwise conv", "ms": 0.15, "percent": 75.0},
            {"kind": "runtime overhead", "ms": 0.05, "percent": 25.0},
        ],
    },
    "next": "hwnas search --target-latency 153us --device cpu",
}

OUT = """\
network  id    measured     p95  peak memory  planned
fastest  aaaa    31.2us  35.5us       65.5kB   98.3kB
slowest  bbbb     1.5ms  1.75ms        276kB    400kB
predictors on held-out networks
predictor    MAPE %  RMSE  within 5 %  within 10 %  Spearman  Kendall tau  coverage of 90 %   n
latency, ms     2.5  0.01          90          100      0.99            -               0.9  80
where the time goes
layer kind            ms  share %
pointwise conv    0.1500     75.0
runtime overhead  0.0500     25.0
"""

ERR = """\
80 networks of demo on cpu: 56 measured now, in 7 groups and 1.5 min; 24 known before
78 stable, 2 unstable; drift corrected by 1.2 % (median), 9.5 % (largest); 4 measured again
unstable, for example: busy
schedule pack: demo-x86-64-v4-abc
of the operations 80 % run in tuned kernels and 20 % in kernels scheduled by rule (medians)
that is network cccc, which half of the others are faster than, less 1.2 us a part for asking
next: hwnas search --target-latency 153us --device cpu
"""


def trimmed(text: str) -> str:
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def test_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    show(RESULT)
    printed = capsys.readouterr()
    assert trimmed(printed.out) == OUT
    assert printed.err == ERR


def test_a_device_that_tells_nothing_of_its_layers_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    show(
        RESULT
        | {"breakdown": None, "conditions": {}, "tuned_flops_percent": None, "ruled_flops_percent": None}
    )
    printed = capsys.readouterr()
    assert "where the time goes: cpu cannot tell the time of its layers" in printed.err
    assert "layer kind" not in printed.out


@pytest.mark.parametrize(
    ("sums", "additive", "says"),
    [
        (False, False, "blocks do not add up on cpu: the table says so in its header; rely on the learned"),
        (False, True, "rely on the additive model (hwnas fit --model linear) or the learned predictor"),
        (True, True, None),
    ],
)
def test_the_verdict_on_a_table_is_printed(
    sums: bool, additive: bool, says: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = {"rho": 0.961, "mape_percent": 3.25, "repeat_noise_percent": 0.75, "n": 120}
    table = {
        "path": "t.csv",
        "blocks": 55,
        "constant_ms": 0.0123,
        "sums": figures | {"valid": sums},
        "additive_model": figures | {"valid": additive, "rho": None},
    }
    show(RESULT | {"table": table})
    printed = capsys.readouterr()
    assert "t.csv: 55 blocks and 12.3 us for every network\n" in printed.err
    lines = trimmed(printed.out).splitlines()
    at = lines.index("do blocks add up on this device?")
    assert lines[at + 2].split()[-5:] == ["0.961", "3.25", "0.75", "120", "yes" if sums else "no"]
    assert lines[at + 3].split()[-5:] == ["-", "3.25", "0.75", "120", "yes" if additive else "no"]
    assert (says in printed.err) if says else ("add up on cpu" not in printed.err)


def test_what_to_run_next_names_what_the_user_named() -> None:
    middle = {"latency_ms": {"value": 0.1534}, "architecture": {"ks": [3], "r": 16}}
    demo = next_command(middle, device="my.yaml", space="demo", store=Path("a store"))
    words = ["hwnas", "search", "--target-latency", "153us", "--device", "my.yaml", "--store", "a store"]
    assert shlex.split(demo) == words
    other = next_command(middle, device="cpu-ort", space="mine.yaml")
    words = ["hwnas", "predict", "--device", "cpu-ort", "--space", "mine.yaml"]
    assert shlex.split(other) == [*words, "--architecture", '{"ks":[3],"r":16}']


def test_the_next_target_binds(hwnas: Run, tmp_path: Path) -> None:
    words = ("profile", "--device", "fpga-zcu102-dpu", "--samples", 12, "--store", tmp_path / "s.sqlite")
    found = json.loads(hwnas(*words, "--json").out)
    target_ms = parse_time_ms(shlex.split(found["next"])[3])
    assert found["fastest"]["latency_ms"]["value"] < target_ms < found["slowest"]["latency_ms"]["value"]
    assert found["breakdown"]["shares"][0]["kind"] == "pointwise conv"


def test_the_command_says_what_the_python_call_finds(hwnas: Run, tmp_path: Path) -> None:
    board, store = "fpga-kv260-dpu", tmp_path / "s.sqlite"
    words = ("profile", "--device", board, "--samples", 50, "--seed", 3, "--store", store, "--json")
    told, space = json.loads(hwnas(*words).out), get_space("demo")
    settings = ProfileSettings(samples=50, seed=3)
    found = profile_device(get_device(board, space), space, settings, store=store)
    assert (told["newly_measured"], found.newly_measured) == (50, 0)
    assert told["held_out"] == found.latency.fit.score.to_json()
    assert told["fastest"]["id"] == found.candidates.ids[found.fastest_first[0]]
    assert told["slowest"]["id"] == found.candidates.ids[found.fastest_first[-1]]
    assert told["breakdown"]["id"] == found.candidates.ids[found.middle]
    assert told["predictor"] == str(found.latency.path)


def test_options_that_do_not_fit_are_refused(hwnas: Run, tmp_path: Path) -> None:
    words = ("profile", "--device", "fpga-zcu102-dpu", "--store", tmp_path / "s.sqlite", "--samples", 12)
    refused(hwnas(*words, "--bits", "32"), "--bits must hold one of (8,)")
    refused(hwnas(*words, "--energy", "guessed"), "--energy must be measured or modelled, but got 'guessed'")
    refused(hwnas(*words, "--energy", "measured"), "no energy meter", "--energy modelled")
    refused(hwnas(*words, "--tune-budget", "1min"), "--tune-budget needs a device that runs tuned kernels")
    pack = tmp_path / "pack.json.xz"
    refused(hwnas(*words, "--schedules", pack), "--schedules needs a device that runs tuned kernels")
    refused(hwnas(*words, "--schedules-out", pack), "--schedules-out needs a device", "such as cpu")
    refused(hwnas("profile", "--device", "cpu", "--schedules", pack), "pack.json.xz")
    refused(hwnas(*words, "--import", tmp_path / "none.csv"), "cannot read block table")


def test_blocks_are_measured_alone_and_the_table_says_what_its_sums_are_worth(
    hwnas: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = partial(Protocol, samples_least=5, samples_most=5, subject_ms=1.0, warmup_ms=1.0)
    monkeypatch.setattr("hwnas.export.profiling.Protocol", fast)
    (tmp_path / "tiny.yaml").write_text(TINY)
    table = tmp_path / "ort.csv"
    words: tuple[object, ...] = ("profile", "--device", "cpu-ort", "--space", tmp_path / "tiny.yaml")
    words += ("--samples", 5)
    words += ("--bits", "32", "--store", tmp_path / "s.sqlite", "--json")
    refused(hwnas(*words, "--budget", "1ns"), "--budget ended after 0 networks")
    found = json.loads(hwnas(*words).out)
    assert "table" not in found
    ran = hwnas(*shlex.split(found["next"])[1:])
    assert ran.code == 0, ran.err
    words = (*words, "--table-out", table)
    refused(hwnas(*words, "--budget", "1ns"), "--budget ended with 0 of", "repeat the command")
    assert not table.exists()
    ran = hwnas(*words)
    assert ran.code == 0, ran.err
    assert "blocks alone and" in ran.err
    found = json.loads(ran.out)
    assert found["newly_measured"] == 0
    assert found["table"]["blocks"] == len(read_table(table).rows)
    assert set(found["table"]["sums"]) == {"valid", "rho", "mape_percent", "repeat_noise_percent", "n"}
    verdict = "yes" if found["table"]["sums"]["valid"] else "no"
    assert read_table(table).validity.startswith(f"{verdict} (rho ")
    # What is in the store takes no time of the budget.
    assert hwnas(*words, "--budget", "1ns").code == 0
    ran = hwnas("profile", "--device", f"table:{table}", "--space", tmp_path / "tiny.yaml", "--samples", 5)
    assert ran.code == 0, ran.err
    assert "inverted bottlenecks" in ran.out


def test_missing_blocks_are_listed_to_be_measured(hwnas: Run, tmp_path: Path) -> None:
    table, wanted = tmp_path / "table.csv", tmp_path / "list.csv"
    words = ("--store", tmp_path / "store.sqlite")
    good = hwnas("profile", "--device", "fpga-kv260-dpu", "--samples", 3, "--table-out", table, *words)
    assert good.code == 0, good.err
    table.write_text("\n".join(table.read_text().splitlines()[:-3]) + "\n")
    ran = hwnas("profile", "--device", f"table:{table}", "--missing", wanted, "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["missing"] == 3
    assert wanted.read_text().count("# ") == 3 + 3  # device, batch, clock
    ran = hwnas("profile", "--device", "cpu-ort", "--missing", wanted)
    assert ran.code == 2
    assert "give --device table:FILE.csv" in ran.err


def test_a_few_measurements_stand_on_what_other_devices_told(hwnas: Run, tmp_path: Path) -> None:
    store = ("--store", tmp_path / "s.sqlite", "--json")
    hwnas("profile", "--device", "fpga-zcu102-dpu", "--samples", 100, *store)
    alone = json.loads(hwnas("profile", "--device", "fpga-ultra96-dpu", "--samples", 100, *store).out)
    few = json.loads(hwnas("profile", "--device", "fpga-kv260-dpu", "--samples", 12, *store).out)
    assert (alone["measured"], few["measured"]) == (100, 12)
    assert not alone["model"].endswith("+sources")
    assert few["model"].endswith("+sources")
    assert few["held_out"]["mape_percent"] < 5
