"""A sample of the faults by default, and the whole command when asked for (`-m slow`)."""

import subprocess
import sys
from pathlib import Path

import pytest

from . import disks, interrupts, others
from .__main__ import FAULTS, SHARES
from .jobs import jobs, make_world
from .kills import killed
from .stage import Stage, Tried


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """A stage for all; what jobs end with that nothing befalls is found out once."""
    folder = tmp_path_factory.mktemp("faults")
    (folder / "places").mkdir()
    return Stage(folder / "world", folder / "places", seed=0)


def well(tried: Tried) -> bool:
    if tried.skipped:
        pytest.skip(tried.skipped)
    return tried.tries > 0 and tried.wrong == []


def test_every_job_is_killed_some_times_of_a_hundred(stage: Stage) -> None:
    assert SHARES.keys() == jobs(stage.world).keys()
    assert sum(SHARES.values()) == 100


def test_kills_over_a_profile(stage: Stage) -> None:
    chains = list(killed("profile", 2, stage, []))
    assert sum(len(one.moments_s) for one in chains) == 2
    assert [one.wrong for one in chains] == [()] * len(chains)


def test_ctrl_c_over_a_profile(stage: Stage) -> None:
    assert well(interrupts.once(stage, ["profile"]))


def test_a_full_disk_and_a_read_only_folder_under_a_profile(stage: Stage) -> None:
    assert well(disks.full(stage, ["profile, simulated"], [0.0, 0.5]))
    assert well(disks.read_only(stage, ["profile, simulated"]))


def test_a_store_removed_under_a_profile(stage: Stage) -> None:
    assert well(disks.removed(stage, [("profile", disks.STORE)]))


def test_a_worker_killed_under_a_profile(stage: Stage) -> None:
    assert well(others.worker_killed(stage, ["profile"]))


def test_a_store_that_is_locked_for_a_while(stage: Stage) -> None:
    assert well(others.locked_store(stage, [3.0]))


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_every_fault(name: str, stage: Stage) -> None:
    make_world(stage.world)
    assert well(FAULTS[name](stage))


@pytest.mark.slow
def test_the_command_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.faults", "--faults", "a stale lock", "-o", str(tmp_path)]
    command += ["--jobs", "profile, simulated", "search", "--kills", "20"]
    first = subprocess.run(command, capture_output=True, text=True, check=False)
    assert first.returncode == 0, first.stdout + first.stderr
    kills = (tmp_path / "kills.jsonl").read_text()
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert second.stdout.splitlines()[:-1] == first.stdout.splitlines()[:-1]
    assert (tmp_path / "kills.jsonl").read_text() == kills
