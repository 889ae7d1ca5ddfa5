"""The supernet that ships: what its file says, and that its recorded recipe trains such a one."""

from dataclasses import replace
from pathlib import Path

import pytest

from hwnas.data.digits import Difficulty, SplitSizes, digits
from hwnas.spaces import get_space
from hwnas.supernet import TrainRecipe, demo_supernet_path, load_supernet, preset, read_info, train

pytestmark = pytest.mark.skipif(
    not demo_supernet_path().exists(), reason="the demo supernet is not in this checkout"
)


def test_it_is_small_and_tells_networks_apart() -> None:
    path = demo_supernet_path()
    assert path.stat().st_size <= 3_000_000
    supernet = load_supernet(path, get_space("demo"))
    assert supernet.info is not None
    largest = supernet.info.metrics["accuracy_top1_largest"]
    assert largest - supernet.info.metrics["accuracy_top1_smallest"] >= 5
    assert largest < 99


def test_it_was_trained_by_the_default_recipes_on_the_built_in_digits() -> None:
    info = read_info(demo_supernet_path())
    assert info.start is not None
    assert info.start["recipe"] == TrainRecipe().to_json()
    assert info.recipe == preset("quantization-aware", get_space("demo")).to_json()
    assert (info.bits, info.learned_steps) == ((4, 6, 8), False)
    assert (info.data, info.data_fingerprint) == ("digits", digits().fingerprint)


@pytest.mark.slow
def test_the_recorded_recipe_learns_in_small(tmp_path: Path) -> None:
    """Fewer and easier images, six passes: far above the 10 % of guessing, the largest ahead."""
    easy = Difficulty(num_fragments=(0, 1), digit_px=(28.0, 36.0), contrast=(0.5, 0.8), noise=(0.0, 0.02))
    dataset = digits(easy, SplitSizes(train=4000, calibrate=500, validate=1000, test=100))
    path = train(get_space("demo"), dataset, replace(TrainRecipe(), epochs=6), tmp_path / "small.safetensors")
    metrics = read_info(path).metrics
    assert metrics["accuracy_top1_largest"] > 60
    assert metrics["accuracy_top1_smallest"] > 40
    assert metrics["accuracy_top1_largest"] > metrics["accuracy_top1_smallest"]
