"""A search on predictors alone, from Python and from the command line."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hwnas.errors import InfeasibleError, InputError
from hwnas.export.predicted_road import PredictedRoad
from hwnas.predictors import FittedPredictor, fit_predictor
from hwnas.profilers.cost_models import TableModel
from hwnas.profilers.simulated import SimulatedDevice
from hwnas.profilers.tables import BlockCost, BlockTable, block_key
from hwnas.progress import Silent
from hwnas.search.front import Front, read_front
from hwnas.search.pareto import non_dominated
from hwnas.search.settings import SearchSettings
from hwnas.spaces import Candidates, get_space

SPACE = get_space("demo")
Fit = Callable[[str, str, float], FittedPredictor]


@pytest.fixture(scope="module")
def accuracy() -> FittedPredictor:
    candidates = Candidates.of_genomes(SPACE, SPACE.sample_genomes(60, np.random.default_rng(0)))
    values = 95 - 30 * np.exp(-candidates.costs().macs / 2.5e6)
    return fit_predictor(SPACE, candidates, values, metric="accuracy_top1", model="linear")


@pytest.fixture(scope="module")
def latency() -> FittedPredictor:
    candidates = Candidates.of_genomes(SPACE, SPACE.sample_genomes(60, np.random.default_rng(1)))
    values = 0.01 + 2e-8 * candidates.costs().macs * np.random.default_rng(2).normal(1, 0.01, 60)
    return fit_predictor(SPACE, candidates, values, metric="latency_ms:board", model="linear")


def table() -> SimulatedDevice:
    rows = {
        block_key(layer): BlockCost(0.001 + 1e-5 * cost, 0.002 * cost)
        for layer, cost in zip(SPACE.vocabulary, (SPACE.cost_table.macs / 1e3).tolist(), strict=False)
    }
    return SimulatedDevice("table", TableModel(BlockTable("table", rows)))


def travelled(
    folder: Path, accuracy: FittedPredictor, latencies: dict[str, FittedPredictor], **knobs: object
) -> Front:
    with_table = knobs.pop("with_table", False)
    road = PredictedRoad(
        accuracy=accuracy,
        latencies=latencies,
        devices=[table()] if with_table else [],
        settings=SearchSettings(**{"inner_evaluations": 600, **knobs}),  # type: ignore[arg-type]
        folder=folder,
        progress=Silent(),
    )
    return road.travel().front


def test_figures_are_marked_and_upper_bounds_keep_the_target(
    tmp_path: Path, accuracy: FittedPredictor, latency: FittedPredictor
) -> None:
    front = travelled(tmp_path, accuracy, {"board": latency}, target_latency_ms=0.08)
    assert len(front.members) > 5
    for member in front.members:
        figure = member.latency_ms["board"]
        assert figure["kind"] == member.accuracy_top1["kind"] == "predicted"
        assert figure["low"] <= figure["value"] <= figure["high"] <= 0.08
        assert figure["p95"] == figure["high"]
    found = front.points(front.members)
    assert len(non_dominated(found)) == len(found)
    assert read_front(tmp_path).to_json() == front.to_json()
    assert (tmp_path / "report.html").exists()
    assert (tmp_path / "convergence.csv").read_text().startswith("round,stage,device")
    assert 0.9 < front.certificate["board"] <= 1 + 1e-9


def test_a_table_beside_a_predictor_gives_two_fronts_and_a_fleet_model(
    tmp_path: Path, accuracy: FittedPredictor, latency: FittedPredictor
) -> None:
    targets = {"board": 0.08, "table": 0.05}
    front = travelled(tmp_path, accuracy, {"board": latency}, device_targets_ms=targets, with_table=True)
    assert set(front.fronts) == {"board", "table"}
    members = {member.id: member for member in front.members}
    for name, ids in front.fronts.items():
        assert len(ids) > 3
        assert all(members[one].latency_ms[name]["p95"] <= targets[name] for one in ids)
    assert all(members[one].latency_ms["table"]["kind"] == "simulated" for one in front.fronts["table"])
    assert front.fleet is not None
    chosen = members[front.fleet["id"]]
    assert all(chosen.latency_ms[name]["p95"] <= target for name, target in targets.items())
    assert max(front.fleet["regret_points"].values()) < 3


def test_an_exact_search_is_repeatable_and_not_behind(
    tmp_path: Path, accuracy: FittedPredictor, latency: FittedPredictor
) -> None:
    runs = {
        name: travelled(tmp_path / name, accuracy, {"board": latency}, target_latency_ms=0.08, method=method)
        for name, method in (("a", "exact"), ("b", "exact"), ("c", "nsga2"))
    }
    assert runs["a"].to_json() == runs["b"].to_json()
    assert runs["a"].hypervolume >= 0.99 * runs["c"].hypervolume


def test_energy_needs_a_table_that_has_it(
    tmp_path: Path, accuracy: FittedPredictor, latency: FittedPredictor
) -> None:
    with pytest.raises(InputError, match="'board' has no energies"):
        travelled(tmp_path / "a", accuracy, {"board": latency}, target_energy_mj=1.0)
    front = travelled(tmp_path / "b", accuracy, {}, target_energy_mj=2.0, with_table=True)
    assert all(member.energy_mj["value"] <= 2.0 for member in front.members if member.energy_mj)
    assert all(member.energy_mj for member in front.members)


def test_what_nothing_keeps_names_the_nearest(
    tmp_path: Path, accuracy: FittedPredictor, latency: FittedPredictor
) -> None:
    with pytest.raises(InfeasibleError, match=r"p95 .*limit 5us.*raise --target-latency"):
        travelled(tmp_path, accuracy, {"board": latency}, target_latency_ms=0.005)


def test_predictors_that_do_not_fit_are_refused(
    tmp_path: Path, accuracy: FittedPredictor, latency: FittedPredictor
) -> None:
    with pytest.raises(InputError, match="must predict accuracy"):
        travelled(tmp_path / "a", latency, {"board": latency}, target_latency_ms=1.0)
    with pytest.raises(InputError, match="must predict latency"):
        travelled(tmp_path / "b", accuracy, {"board": accuracy}, target_latency_ms=1.0)
