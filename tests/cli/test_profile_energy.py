"""`hwnas profile --energy`: refused where nothing can be read, and labelled where it is a model."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Ran

Run = Callable[..., Ran]


@pytest.fixture
def profiled(hwnas: Run, tmp_path: Path) -> Run:
    def run(*more: object) -> Ran:
        store = tmp_path / "store.sqlite"
        return hwnas("profile", "--device", "fpga-zcu102-dpu", "--samples", 20, "--store", store, *more)

    return run


def test_a_model_is_labelled_everywhere(profiled: Run, tmp_path: Path) -> None:
    ran = profiled("--energy", "modelled", "--json")
    assert ran.code == 0, ran.err
    result = json.loads(ran.out)
    assert result["energy"]["source"] == "modelled"
    assert result["energy"]["held_out"]["n"] == 20
    assert result["fastest"]["energy_mj"]["kind"] == "modelled"
    assert result["energy"]["predictor"].endswith("-energy-modelled.json")
    assert Path(result["energy"]["predictor"]).parent == tmp_path / "predictors"
    shown = profiled("--energy", "modelled")
    assert "mJ, modelled" in shown.out
    assert "energy: modelled" in shown.err


def test_a_device_that_no_meter_sees_is_refused_before_anything_is_measured(
    profiled: Run, tmp_path: Path
) -> None:
    ran = profiled("--energy", "measured")
    assert ran.code == 2
    assert "no energy meter of this machine sees what device 'fpga-zcu102-dpu' uses" in ran.err
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "store.sqlite").exists()


def test_other_words_are_refused(profiled: Run) -> None:
    ran = profiled("--energy", "guessed")
    assert ran.code == 2
    assert "--energy must be measured or modelled, but got 'guessed'" in ran.err


def test_planned_memory_is_said_where_it_is_known(profiled: Run) -> None:
    result = json.loads(profiled("--json").out)
    assert result["fastest"]["peak_memory_bytes"] > 0
    assert result["fastest"]["planned_memory"] is None
    assert "energy" not in result
