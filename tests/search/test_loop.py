"""The search as a whole, in a world of formulas."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hwnas.errors import InfeasibleError, InputError
from hwnas.search.front import Front, read_front, write_front
from hwnas.search.loop import SearchResult
from hwnas.search.run_folder import Journal, run_folder
from hwnas.spaces import Candidates
from hwnas.supernet import Evaluation

from .conftest import World


def as_text(result: SearchResult) -> str:
    return json.dumps(result.front.to_json())


def test_the_front_is_measured_within_the_target_and_non_dominated(world: World) -> None:
    front = world.run().front
    assert len(front.members) >= 8
    figures = [(m.accuracy_top1["value"], m.latency_ms[m.deploy_on]["value"]) for m in front.members]
    assert [latency for _, latency in figures] == sorted(latency for _, latency in figures)
    assert [accuracy for accuracy, _ in figures] == sorted(accuracy for accuracy, _ in figures)
    for member in front.members:
        latency = member.latency_ms[member.deploy_on]
        assert latency["kind"] == "measured"
        assert latency["p95"] <= front.target_latency_ms
        assert member.accuracy_top1["split"] == "validate"
    assert any(member.quantized for member in front.members)
    assert {member.deploy_on for member in front.members} == {"one", "two"}


def test_the_search_finds_more_than_its_first_sample_held(world: World) -> None:
    result = world.run()
    measured = [line.hypervolume for line in result.convergence if line.stage == "measured"]
    assert measured[-1] > measured[0]
    assert measured == sorted(measured)
    assert result.front.hypervolume == measured[-1]
    assert result.proposed > 0


def test_no_candidate_is_evaluated_or_measured_twice(world: World) -> None:
    world.run()
    assert len(world.evaluated) == len(set(world.evaluated))
    for device in world.devices:
        assert len(device.asked) == len(set(device.asked))


def test_the_same_seed_gives_the_same_front_and_another_seed_another(world: World) -> None:
    texts = [as_text(world.run(name)) for name in ("a", "b")]
    assert texts[0] == texts[1]
    assert as_text(world.run("c", seed=1)) != texts[0]


def test_a_run_cut_at_any_point_resumes_to_the_same_front(world: World) -> None:
    whole = as_text(world.run("whole"))
    lines = (world.folder / "whole" / "journal.jsonl").read_bytes().splitlines(keepends=True)
    for cut in random.Random(0).sample(range(len(lines)), 4):
        folder = world.folder / f"cut{cut}"
        folder.mkdir()
        (folder / "config.json").write_bytes((world.folder / "whole" / "config.json").read_bytes())
        (folder / "journal.jsonl").write_bytes(b"".join(lines[:cut]) + lines[cut][: len(lines[cut]) // 2])
        before = len(world.evaluated)
        assert as_text(world.run(f"cut{cut}")) == whole
        evaluated_again = len(world.evaluated) - before
        assert evaluated_again == sum(b'"accuracy"' in line.split(b"]")[0] for line in lines[cut:])


def test_a_target_below_the_fastest_network_is_infeasible_and_names_the_fastest(world: World) -> None:
    with pytest.raises(InfeasibleError, match=r"--target-latency must be at least .*us.*but got 1us"):
        world.run(target_latency_ms=0.001)
    assert not world.evaluated


def test_a_target_that_excludes_nothing_is_said_with_one_that_would_bind(world: World) -> None:
    said: list[str] = []

    class Listener:
        def say(self, text: str) -> None:
            said.append(text)

        def step(self, what: str, done: int, total: int) -> None:
            pass

    settings = world.settings(target_latency_ms=25.0)
    with run_folder(world.folder / "idle", settings.to_json()) as journal:
        world.run_with(journal, settings, Listener())
    assert any("excludes nothing" in text and "--target-latency" in text for text in said)


def test_bits_that_a_device_does_not_run_are_refused(world: World) -> None:
    with pytest.raises(InputError, match="device 'one' runs 32 bits, but --bits asks for 8"):
        world.run(bits=(8,))


def test_random_proposals_are_there_to_compare(world: World) -> None:
    found, other = (world.run(name, method=name).front for name in ("nsga2", "random"))
    assert len(other.members) >= 5
    assert found.hypervolume >= 0.98 * other.hypervolume


@pytest.mark.parametrize("change", [{"method": "magic"}, {"rounds": 0}, {"profile_samples": 3}])
def test_settings_that_make_no_sense_are_refused(world: World, change: dict[str, object]) -> None:
    with pytest.raises(InputError):
        world.settings(**change)


def test_a_front_survives_its_file(world: World) -> None:
    front = world.run().front
    write_front(front, world.folder / "run")
    assert read_front(world.folder / "run").to_json() == front.to_json()
    rows = (world.folder / "run" / "front.csv").read_text().splitlines()
    assert len(rows) == len(front.members) + 1


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"space": 1}', '{"candidates": [{"x": 1}]}'])
def test_a_front_file_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "front.json").write_text(text)
    with pytest.raises(InputError):
        read_front(tmp_path)
    with pytest.raises(InputError, match=r"no front\.json"):
        read_front(tmp_path / "nowhere")


def test_a_run_folder_refuses_other_settings_and_a_second_process(tmp_path: Path) -> None:
    config = {"a": 1, "b": {"c": 2}}
    with (
        run_folder(tmp_path / "run", config),
        pytest.raises(InputError, match="in use"),
        run_folder(tmp_path / "run", config),
    ):
        pass
    with (
        pytest.raises(InputError, match=r"different: b\.c"),
        run_folder(tmp_path / "run", {"a": 1, "b": {"c": 3}}),
    ):
        pass


def test_a_journal_drops_a_torn_last_line_and_refuses_a_foreign_one(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.add(("a", "b"), {"value": 1})
    journal.close()
    path.write_bytes(path.read_bytes() + b'{"key": ["c"], "val')
    again = Journal(path)
    assert again.get("a", "b") == {"value": 1}
    assert len(again) == 1
    again.add(("c",), {"value": 2})
    again.close()
    third = Journal(path)
    assert third.get("c") == {"value": 2}
    third.close()
    path.write_bytes(b"not ours\n" + path.read_bytes())
    with pytest.raises(InputError, match="line 1"):
        Journal(path)


def test_margins_compare_at_equal_latency_on_the_test_split() -> None:
    from hwnas.search.baselines import margin

    found = margin(
        found_latency_ms=np.array([1.0, 2.0, 3.0]),
        found_validate=np.array([80.0, 90.0, 89.0]),
        found_test=np.array([79.0, 88.0, 95.0]),
        baseline_latency_ms=np.array([0.5, 1.5, 3.5]),
        baseline_test=np.array([50.0, 77.0, 89.0]),
    )
    # The first is faster than all found; the second meets 79; the third the best by validation, 88.
    assert (found.compared, found.better) == (2, 1)
    assert found.mean_points == pytest.approx((2.0 - 1.0) / 2)
    assert found.standard_error == pytest.approx(1.5)
    assert margin(*(np.zeros(0),) * 5).to_json()["mean_points"] is None


def test_fronts_hold_only_what_the_contract_names(world: World) -> None:
    entry = world.run().front.to_json()
    assert {"space", "devices", "objectives", "reference_point", "hypervolume", "candidates"} <= set(entry)
    assert isinstance(Front, type)
    assert {
        "id",
        "architecture",
        "bits",
        "accuracy_top1",
        "latency_ms",
        "size_bytes",
        "macs",
        "params",
        "bitops",
    } <= set(entry["candidates"][0])


class Bits(World):
    """Notes the bits of what is evaluated."""

    def evaluate(self, candidates: Candidates, split: str) -> Iterator[Evaluation]:
        self.narrow += (candidates.weight_bits < 32).any(axis=1).tolist()
        return super().evaluate(candidates, split)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.narrow: list[bool] = []
        self.devices = self.devices[1:]


QUICK: dict[str, object] = {"initial_evaluations": 12, "profile_samples": 12, "inner_evaluations": 100}


def test_the_first_of_several_rounds_leaves_bits_alone(tmp_path: Path) -> None:
    world = Bits(tmp_path)
    world.run("run", rounds=3, target_latency_ms=None, **QUICK)
    first, opening, later = world.narrow[:12], world.narrow[12:20], world.narrow[20:]
    assert any(first)
    assert not any(opening)
    assert any(later)


def test_a_target_that_only_few_bits_keep_has_them_from_the_first_round(tmp_path: Path) -> None:
    world = Bits(tmp_path)
    fastest = world.run("all", rounds=1, target_latency_ms=None, **QUICK).front.members[0]
    assert fastest.quantized
    world.narrow.clear()
    world.run("few", rounds=3, target_latency_ms=1.06 * fastest.latency_ms["two"]["value"], **QUICK)
    assert len(world.narrow) > 12
    assert all(world.narrow[12:])
