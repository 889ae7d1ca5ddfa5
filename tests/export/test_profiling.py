"""A device's profile from Python: what it finds, what it keeps, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest

import hwnas
from hwnas.errors import InputError, UnavailableError
from hwnas.predictors.places import predictor_path
from hwnas.profilers import Store, get_device
from hwnas.profilers.device import Device
from hwnas.profilers.simulated import SimulatedDevice
from hwnas.profilers.tables.file import read_table
from hwnas.spaces import Candidates, Space, get_space

BOARD = "fpga-kv260-dpu"


class Heard:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, int, int]] = []

    def say(self, text: str) -> None:
        raise AssertionError(text)

    def step(self, what: str, done: int, total: int) -> None:
        self.steps.append((what, done, total))


@pytest.fixture
def space() -> Space:
    return get_space("demo")


@pytest.fixture
def board(space: Space) -> Device:
    return get_device(BOARD, space)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


def test_a_profile_predicts_networks_that_it_has_not_measured(
    board: SimulatedDevice, space: Space, store: Path
) -> None:
    found = hwnas.profile_device(board, space, hwnas.ProfileSettings(samples=60), store=store)
    drawn = Candidates.of_architectures(space, space.sample(100, np.random.default_rng(1)), 8)
    others = drawn[[row for row, key in enumerate(drawn.ids) if key not in found.candidates.ids]]
    predicted = found.latency.fit.predictor.predict(others)
    true_ms = board.table(space).latency_ms(others)
    assert np.mean(np.abs(predicted.mean / true_ms - 1)) < 0.03
    assert found.latency.fit.score.n == len(found.measurements) == len(found.candidates) == 60
    times = [found.measurements[row].latency_ms for row in found.fastest_first]
    assert times == sorted(one.latency_ms for one in found.measurements)
    assert found.measurements[found.middle].latency_ms == times[30]
    assert found.energy is None
    assert found.table is None


def test_what_is_found_is_kept_and_measured_once(board: Device, space: Space, store: Path) -> None:
    settings, heard = hwnas.ProfileSettings(samples=12, energy="modelled"), Heard()
    first = hwnas.profile_device(board, space, settings, store=store, progress=heard)
    again = hwnas.profile_device(board, space, settings, store=store)
    assert (first.newly_measured, again.newly_measured) == (12, 0)
    assert heard.steps[-1][1:] == (12, 12)
    assert first.latency.path == predictor_path(board, space, store)
    for kept in (first.latency, first.energy):
        assert kept is not None
        read = hwnas.load_predictor(kept.path, space)
        np.testing.assert_array_equal(read.mean(first.candidates), kept.fit.predictor.mean(first.candidates))
    with Store(store) as opened:
        keys = [one.subject for one in first.measurements]
        assert len(opened.known(board.fingerprint().digest, keys)) == 12


def test_the_block_table_of_a_model_is_written_at_once(
    board: SimulatedDevice, space: Space, store: Path, tmp_path: Path
) -> None:
    settings = hwnas.ProfileSettings(samples=5, table_out=tmp_path / "board.csv")
    found = hwnas.profile_device(board, space, settings, store=store)
    assert found.table is not None
    assert found.table.check is None
    assert read_table(tmp_path / "board.csv").rows.keys() == board.table(space).rows.keys()


def test_settings_that_cannot_be_are_refused(board: Device, space: Space, store: Path) -> None:
    with pytest.raises(InputError, match="samples must be at least 3, but got 2"):
        hwnas.ProfileSettings(samples=2)
    with pytest.raises(InputError, match="bitwidths of 'fpga-kv260-dpu', but got"):
        hwnas.profile_device(board, space, hwnas.ProfileSettings(bits=(32,)), store=store)
    with pytest.raises(UnavailableError, match="no energy meter"):
        hwnas.profile_device(board, space, hwnas.ProfileSettings(energy="measured"), store=store)
    assert not store.exists()
