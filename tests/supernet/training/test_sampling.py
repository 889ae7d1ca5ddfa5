import numpy as np
import pytest

from hwnas.errors import InputError
from hwnas.spaces import Candidates, get_space
from hwnas.supernet import Alone, Attentive, Fair, ProgressiveShrinking, Sandwich, Survey

RULES = [Sandwich(), Alone(), Alone(any_size=True), Fair(), ProgressiveShrinking(2, {"ks": 2}), Attentive()]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_draws_the_same_from_the_same_generator(space, rule) -> None:
    draws = [[rule.draw(space, one) for _ in range(4)] for one in (rng(1), rng(1), rng(2))]
    assert draws[0] == draws[1]
    assert draws[0] != draws[2] or rule == Alone()
    assert rule.to_json()["name"] == rule.name


def test_a_sandwich_is_the_largest_the_smallest_and_random_ones(space) -> None:
    drawn = Sandwich(num_random=3, student_weight=0.5).draw(space, rng())
    assert [s.architecture for s in drawn[:2]] == [space.largest(), space.smallest()]
    assert [(s.target, s.weight) for s in drawn] == [("labels", 1.0), *[("first", 0.5)] * 4]
    assert [s.architecture for s in drawn[2:]] == space.sample(3, rng())


def test_rules_have_a_json_form(space) -> None:
    assert Sandwich(num_random=1).to_json() == {"name": "sandwich", "num_random": 1, "student_weight": 1.0}
    smallest = space.smallest()
    assert Alone(smallest).to_json() == {
        "name": "alone",
        "architecture": smallest.to_json(),
        "any_size": False,
    }
    assert ProgressiveShrinking(1, {"ks": 2}).to_json()["open"] == {"ks": 2}
    assert Attentive(survey=Survey(images=8)).to_json()["survey"]["images"] == 8


def test_alone_is_one_architecture_from_labels(space) -> None:
    (only,) = Alone(space.smallest()).draw(space, rng())
    assert (only.architecture, only.target) == (space.smallest(), "labels")
    (largest,) = Alone().draw(space, rng())
    assert largest.architecture == space.largest()


def test_alone_of_any_size_changes_the_size_only(space) -> None:
    drawn = [Alone(any_size=True).draw(space, rng(seed))[0].architecture for seed in range(20)]
    assert {one["r"] for one in drawn} == set(space.image_sizes)
    assert {(one["ks"], one["e"], one["d"]) for one in drawn} == {
        (space.largest()["ks"], space.largest()["e"], space.largest()["d"])
    }


def test_fair_uses_every_choice_equally_often() -> None:
    space = get_space("demo")  # 2 kernels, 2 expand ratios, 3 depths
    for seed in range(5):
        drawn = Fair().draw(space, rng(seed))
        assert len(drawn) == 6
        assert sum(one.weight for one in drawn) == pytest.approx(1)
        assert {one.target for one in drawn} == {"labels"}
        assert len({one.architecture["r"] for one in drawn}) == 1
        for stage in range(3):
            depths = [one.architecture["d"][stage] for one in drawn]
            assert sorted(depths) == [1, 1, 2, 2, 3, 3]
        # The first block of each stage runs at every depth, so its genes are seen as drawn.
        for group, choices in (("ks", (3, 5)), ("e", (3, 6))):
            drawn_first = [one.architecture[group][0] for one in drawn]
            assert [drawn_first.count(choice) for choice in choices] == [3, 3]


def test_fair_refuses_what_needs_too_many_networks() -> None:
    with pytest.raises(InputError, match=r"needs 12 networks a step.*at most 4"):
        Fair(most_networks=4).draw(get_space("bignas-mobilenetv3"), rng())


def test_progressive_shrinking_opens_the_largest_choices() -> None:
    space = get_space("ofa-mobilenetv3-w1.0")
    rule = ProgressiveShrinking(3, {"ks": 3, "d": 2})
    seen = [rule.draw(space, rng(seed)) for seed in range(20)]
    assert all(len({one.architecture["r"] for one in step}) == 1 for step in seen)
    assert len({step[0].architecture["r"] for step in seen}) > 5
    architectures = [one.architecture for step in seen for one in step]
    assert {depth for one in architectures for depth in one["d"]} == {3, 4}
    assert {one["ks"][0] for one in architectures} == {3, 5, 7}
    assert {one["e"][0] for one in architectures} == {6}
    assert all((one.target, one.weight) == ("fixed", 2.0) for step in seen for one in step)


def test_progressive_shrinking_refuses_groups_that_are_not_there(space) -> None:
    with pytest.raises(InputError, match="opens w, but space 'demo' has no such genes"):
        ProgressiveShrinking(1, {"w": 2}).draw(space, rng())


@pytest.mark.parametrize(("choose", "sign"), [("best", 1), ("worst", -1)])
def test_attentive_takes_the_best_or_worst_of_similar_cost(choose, sign) -> None:
    space = get_space("demo")

    def kernels(candidates: Candidates) -> np.ndarray:
        return np.array([sum(one.architecture["ks"]) for one in candidates.unpack()], dtype=np.float64)

    plain = Attentive(choose=choose, num_candidates=30).draw(space, rng())
    assert plain == Sandwich(2).draw(space, rng())
    rule = Attentive(choose=choose, num_candidates=30, num_chosen=20)
    chosen = [one.architecture for one in rule.draw(space, rng(), kernels)]
    assert chosen[:2] == [space.largest(), space.smallest()]
    found = Candidates.of_architectures(space, chosen[2:])
    usual = Candidates.of_architectures(space, space.sample(200, rng(5)))
    assert sign * (kernels(found).mean() - kernels(usual).mean()) > 2
    spread = np.std(found.costs().macs)
    assert 0.6 < spread / np.std(usual.costs().macs) < 1.6  # the costs are those of uniform draws


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Sandwich(num_random=-1), "num_random of at least 0, but got -1"),
        (lambda: Sandwich(student_weight=0.0), "student_weight above 0"),
        (lambda: ProgressiveShrinking(0), "num_networks of at least 1"),
        (lambda: ProgressiveShrinking(1, weight=-1.0), "weight above 0"),
        (lambda: Attentive(choose="any"), "'best' or 'worst', but got 'any'"),
        (lambda: Attentive(num_candidates=0), "at least 1, but got 0 and 2"),
        (lambda: Survey(start=1.0), "below 1, but got 1.0"),
        (lambda: Survey(networks=2), "at least 3"),
        (lambda: Survey(images=3), "at least 4"),
    ],
)
def test_values_out_of_range_are_refused(make, told) -> None:
    with pytest.raises(InputError, match=told):
        make()
