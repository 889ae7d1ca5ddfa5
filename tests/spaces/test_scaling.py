"""Compound scaling: what grows, by how much, and what stays."""

import numpy as np
import pytest

from hwnas.errors import InputError
from hwnas.spaces import Candidates, Space, compound_scaled, get_space, space_names

SPACES = {name: get_space(name) for name in space_names()}


@pytest.fixture(params=sorted(SPACES))
def space(request: pytest.FixtureRequest) -> Space:
    return SPACES[request.param]


def test_it_grows_from_the_smallest_in_every_dimension_together(space: Space) -> None:
    scaled = compound_scaled(space, np.linspace(0, 12, 40))
    assert scaled[0] == space.smallest()
    macs = Candidates.of_architectures(space, scaled).costs().macs
    assert (np.diff(macs) >= 0).all()
    assert len(set(scaled)) >= 4


def test_phi_0_gives_the_base(space: Space) -> None:
    for base in space.sample(5, np.random.default_rng(0)):
        assert compound_scaled(space, [0.0], base) == [base]


def test_kernels_stay_those_of_the_base_also_in_blocks_that_it_does_not_run() -> None:
    space = SPACES["demo"]
    base = space.architecture({"ks": [5, 3, 3, 3, 5, 3, 5, 3, 3], "e": [3] * 9, "d": [1, 2, 1], "r": 32})
    (large,) = compound_scaled(space, [12.0], base)
    assert large["ks"] == (5, 5, 5, 3, 5, 5, 5, 5, 5)
    assert large["e"] == (6,) * 9
    assert large["d"] == (3, 3, 3)
    assert large["r"] == 48


def test_widths_scale_where_the_space_has_them_and_ratios_stay() -> None:
    space = SPACES["bignas-mobilenetv3"]
    base = space.architecture({**space.smallest().to_json(), "e": [1, 5, 5, 5, 5, 6, 6]})
    small, large = compound_scaled(space, [1.0, 20.0], base)
    assert small["e"] == large["e"] == base["e"]
    # 192 x 1.1 is 211, 216 x 1.1 is 238; 16 and 24 are nearer to 16 and 24 than to the next ones.
    assert small["w"] == (16, 16, 24, 32, 72, 120, 208, 224, 1984)
    assert large["w"] == space.largest()["w"]


def test_resnet_scales_the_factors_behind_the_indices_and_all_blocks_of_a_stage() -> None:
    space = SPACES["ofa-resnet50"]
    (scaled,) = compound_scaled(space, [2.0])
    # 0.65 x 1.21 is 0.79; stages of 2 and 4 blocks, times 1.44, are 3 and 6; 128 px x 1.32 is 168.
    assert scaled.to_json() == {
        "space": "ofa-resnet50",
        "e": [0.2] * 18,
        "d": [2, 1, 1, 2, 1],
        "w": [0, 1, 1, 1, 1, 1],
        "r": 168,
    }


def test_a_base_of_another_space_is_refused() -> None:
    with pytest.raises(InputError, match="is of space 'demo'"):
        compound_scaled(SPACES["ofa-resnet50"], [1.0], SPACES["demo"].smallest())
