import numpy as np
import pytest

from hwnas.errors import InputError
from hwnas.supernet import Sandwich


def test_a_sandwich_is_the_largest_the_smallest_and_random_ones(space) -> None:
    drawn = Sandwich(num_random=3).draw(space, np.random.default_rng(0))
    assert [s.architecture for s in drawn[:2]] == [space.largest(), space.smallest()]
    assert [s.target for s in drawn] == ["labels", *["teacher"] * 4]
    assert [s.architecture for s in drawn[2:]] == space.sample(3, np.random.default_rng(0))


def test_the_same_generator_draws_the_same(space) -> None:
    draws = [Sandwich().draw(space, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_a_rule_has_a_json_form() -> None:
    assert Sandwich(num_random=1).to_json() == {"name": "sandwich", "num_random": 1}


def test_a_negative_number_is_refused() -> None:
    with pytest.raises(InputError, match="num_random of at least 0, but got -1"):
        Sandwich(num_random=-1)
