"""Predictors of spaces that no name stands for: two of one name do not share them."""

from pathlib import Path

import numpy as np
import pytest

from hwnas.errors import InputError
from hwnas.predictors import fit_predictor, load_predictor
from hwnas.predictors.places import predictor_path
from hwnas.profilers import get_device
from hwnas.spaces import Candidates, Space, get_space, space_of_definition


def little(width: int) -> Space:
    stage = {"width": width, "depth": [1, 2], "kernel": [3, 5], "expand": [2, 3], "stride": 2}
    return space_of_definition(
        {
            "name": "little",
            "image_sizes": [32, 48],
            "stem": {"width": 8},
            "stages": [stage],
            "head": {"width": 32},
            "num_classes": 4,
        }
    )


def test_a_predictor_brings_its_space_along(tmp_path: Path) -> None:
    space = little(16)
    candidates = Candidates.of_genomes(space, space.sample_genomes(30, np.random.default_rng(0)))
    predictor = fit_predictor(space, candidates, candidates.costs().macs / 1e6 + 1, model="linear")
    predictor.save(tmp_path / "p.json")
    loaded = load_predictor(tmp_path / "p.json")
    assert loaded.space.key == space.key
    np.testing.assert_array_equal(loaded.predict(candidates).mean, predictor.predict(candidates).mean)
    with pytest.raises(InputError, match="fit it again"):
        load_predictor(tmp_path / "p.json", little(24))
    other = Candidates.of_architectures(little(24), [little(24).smallest()])
    with pytest.raises(InputError, match=f"for space '{space.key}', but got candidates of"):
        loaded.predict(other)


def test_spaces_of_one_name_keep_their_predictors_apart(tmp_path: Path) -> None:
    device = get_device("cpu-ort", get_space("demo"))
    paths = {predictor_path(device, space, tmp_path / "s.sqlite").name for space in (little(16), little(24))}
    assert len(paths) == 2
    assert predictor_path(device, get_space("demo"), tmp_path / "s.sqlite").name.startswith("demo-cpu-ort-")
