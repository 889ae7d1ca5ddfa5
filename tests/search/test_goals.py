"""What a search is asked for, beyond one target: limits, objectives, devices, soft and exact ones."""

from collections.abc import Sequence

import numpy as np
import pytest

from hwnas.errors import InfeasibleError, InputError
from hwnas.search.fleet import fleet_of
from hwnas.search.front import Front, read_front, write_front
from hwnas.search.goal import Goal, reward
from hwnas.search.pareto import non_dominated
from hwnas.search.settings import SearchSettings, Soft
from hwnas.search.truth import upper_quantile, widened

from .conftest import FormulaDevice, World


def points(front: Front, ids: Sequence[str]) -> np.ndarray:
    members = {member.id: member for member in front.members}
    return front.points([members[one] for one in ids])


def test_four_objectives_and_every_limit_hold(world: World) -> None:
    world.devices = [FormulaDevice("two", (32, 8), power_w=3.0)]
    limits = {"target_energy_mj": 0.4, "max_size_bytes": 250e3, "max_memory_bytes": 60e3}
    objectives = ("accuracy_top1", "latency_ms", "energy_mj", "size_bytes")
    front = world.run(**limits, objectives=objectives, inner_evaluations=300).front
    assert len(front.members) >= 5
    for member in front.members:
        assert member.latency_ms["two"]["p95"] <= 0.2
        assert member.energy_mj is not None
        assert member.energy_mj["value"] <= 0.4
        assert member.size_bytes <= 250e3
        assert member.peak_memory_bytes <= 60e3
    found = front.points(front.members)
    assert found.shape[1] == 4
    assert len(non_dominated(found)) == len(found)
    assert set(front.reference_point) == set(objectives)
    assert front.limits["energy_mj"] == 0.4
    write_front(front, world.folder / "run")
    assert read_front(world.folder / "run").to_json() == front.to_json()


def test_devices_have_fronts_and_targets_of_their_own_and_one_model_serves_all(world: World) -> None:
    world.devices = [
        FormulaDevice("fast", (32, 8), 0.5, "one machine"),
        FormulaDevice("slow", (32, 8), 1.3, "another"),
        FormulaDevice("third", (32,), 1.0, "a third"),
    ]
    targets = {"fast": 0.08, "slow": 0.25}
    alone = len(World(world.folder / "alone").evaluated)
    front = world.run(device_targets_ms=targets, target_latency_ms=0.15).front
    assert set(front.fronts) == {"fast", "slow", "third"}
    assert front.target_latency_ms == {"fast": 0.08, "slow": 0.25, "third": 0.15}
    members = {member.id: member for member in front.members}
    for name, ids in front.fronts.items():
        assert len(ids) >= 3
        for one in ids:
            assert members[one].latency_ms[name]["p95"] <= front.target_on(name)
    fleet = front.fleet
    assert fleet is not None
    chosen = members[fleet["id"]]
    for name in front.fronts:
        assert chosen.latency_ms[name]["p95"] <= front.target_on(name)
        best = max(members[one].accuracy_top1["value"] for one in front.fronts[name])
        assert fleet["regret_points"][name] == pytest.approx(best - chosen.accuracy_top1["value"])
    worst = max(fleet["regret_points"].values())
    assert all(c is None or worst <= c["worst_regret_points"] for c in fleet["carried_over"].values())
    # 24 at first, two rounds of eight, rounded up to a share for each device and for the fleet.
    assert len(world.evaluated) - alone <= 1.2 * (24 + 2 * 8) + 1


def test_a_soft_target_may_be_broken_and_names_the_highest_reward(world: World) -> None:
    front = world.run(target_latency_ms=0.05, soft=Soft()).front
    assert any(m.latency_ms[m.deploy_on]["p95"] > 0.05 for m in front.members)
    assert front.soft is not None
    best = front.soft["best"]["one+two"]
    rewards = {
        m.id: float(
            reward(
                np.array([m.accuracy_top1["value"]]),
                np.array([m.latency_ms[m.deploy_on]["value"]]),
                0.05,
                Soft(),
            )[0]
        )
        for m in front.members
    }
    assert best["id"] == max(rewards, key=lambda key: rewards[key])
    assert best["reward"] == pytest.approx(max(rewards.values()))


def test_the_exact_method_and_the_certificate_agree(world: World) -> None:
    world.devices = [FormulaDevice("one", (32,))]
    exact = world.run("exact", method="exact", rounds=1)
    assert exact.front.certificate == {"one": 1.0}
    near = world.run("near", additive=True, rounds=1, inner_evaluations=1500)
    assert 0.95 < near.front.certificate["one"] <= 1 + 1e-9
    assert not world.run("plain", rounds=1).front.certificate


def test_limits_that_nothing_keeps_name_the_nearest(world: World) -> None:
    with pytest.raises(InfeasibleError, match=r"size .*limit 2kB.*raise --max-size"):
        world.run(max_size_bytes=2e3)
    assert not world.evaluated


def test_energies_that_a_device_does_not_measure_are_refused(world: World) -> None:
    with pytest.raises(InputError, match="measures no energy"):
        world.run(target_energy_mj=1.0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"objectives": ("accuracy_top1",)}, "two to four"),
        ({"objectives": ("latency_ms", "size_bytes")}, "accuracy among them"),
        ({"objectives": ("accuracy_top1", "beauty")}, "accuracy, latency"),
        ({"method": "exact", "max_size_bytes": 1e6}, "latency target alone"),
        ({"soft": Soft()}, "add --target-latency"),
        ({"target_latency_ms": 1.0, "soft": Soft(beta=0.5)}, "must not be above zero"),
        ({"epsilon": 2.0}, "--epsilon"),
        ({"evaluations": 12}, "at least the 56"),
    ],
)
def test_goals_that_make_no_sense_are_refused(change: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        SearchSettings(**change)  # type: ignore[arg-type]


def test_a_target_for_a_device_that_is_not_searched_is_refused() -> None:
    with pytest.raises(InputError, match="device 'gpu'"):
        Goal.of(SearchSettings(device_targets_ms={"gpu": 1.0}), ["cpu"])


def test_the_reward_is_the_weighted_product() -> None:
    accuracy, latency = np.array([80.0, 80.0, 80.0]), np.array([10.0, 20.0, 40.0])
    found = reward(accuracy, latency, 20.0, Soft(alpha=0.0, beta=-1.0))
    assert found.tolist() == pytest.approx([80.0, 80.0, 40.0])
    assert reward(accuracy, latency, 20.0, Soft())[2] == pytest.approx(80 * 2**-0.07)


def test_the_fleet_model_has_the_least_largest_regret_by_hand() -> None:
    accuracy = np.array([90.0, 85.0, 84.0, 80.0])
    figures = {
        "a": {"accuracy_top1": accuracy, "latency_ms": np.array([9.0, 5.0, 4.0, 1.0])},
        "b": {"accuracy_top1": accuracy, "latency_ms": np.array([2.0, 9.0, 3.0, 1.0])},
    }
    figures = {name: {**one, "p95_ms": one["latency_ms"]} for name, one in figures.items()}
    goal = Goal.of(SearchSettings(target_latency_ms=5.0), ["a", "b"])
    found = fleet_of(["w", "x", "y", "z"], figures, [["a"], ["b"]], goal)
    # On a the best is x (85), on b it is w (90); y keeps both targets.
    assert found["id"] == "y"
    assert found["regret_points"] == {"a": 1.0, "b": 6.0}
    assert found["carried_over"] == {"a": None, "b": None}
    none = fleet_of(
        ["w", "x"], {n: {k: v[:2] for k, v in f.items()} for n, f in figures.items()}, [["a"], ["b"]], goal
    )
    assert none["id"] is None


def test_margins_are_conformal_ranks_and_widen_where_proposals_missed() -> None:
    ratios = np.array([1.0, 1.1, 1.2, 1.3])
    assert upper_quantile(ratios, 0.4) == 1.2  # rank ceil(5 x 0.6) = 3
    assert upper_quantile(ratios, 0.01) == 1.3
    assert widened(ratios, [1.0, 1.0, 1.1, 1.25], 0.4) == 1.2
    assert widened(ratios, [1.5, 1.6, 1.0], 0.4) == 1.6
