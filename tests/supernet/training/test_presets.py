from dataclasses import replace

import numpy as np
import pytest

from hwnas.errors import InputError
from hwnas.spaces import get_space, space_names
from hwnas.supernet import (
    Alone,
    Attentive,
    Fair,
    ProgressiveShrinking,
    Sandwich,
    TrainRecipe,
    adjusted,
    preset,
    preset_names,
)


def test_names_give_rules(space) -> None:
    assert preset_names() == ["sandwich", "progressive", "attentive", "fair", "quantization-aware"]
    assert preset("sandwich", space) == TrainRecipe()
    assert preset("attentive", space, epochs=3).sampling == Attentive()
    assert preset("fair", space, learning_rate=0.5) == TrainRecipe(sampling=Fair(), learning_rate=0.5)
    with pytest.raises(InputError, match="unknown recipe 'sandwitch': did you mean 'sandwich'"):
        preset("sandwitch", space)


def test_progressive_shrinking_as_published() -> None:
    recipe = preset("progressive", get_space("ofa-mobilenetv3-w1.0"))
    phases = recipe.phases
    assert [(p.name, p.epochs, p.learning_rate) for p in phases[1:]] == [
        ("kernel", 125, 3e-2),
        ("depth 1", 25, 2.5e-3),
        ("depth 2", 125, 7.5e-3),
        ("expand 1", 25, 2.5e-3),
        ("expand 2", 125, 7.5e-3),
    ]
    assert [p.warmup_epochs for p in phases[1:]] == [5, 0, 5, 0, 5]
    assert [p.sort_channels for p in phases] == [0, 0, 0, 0, 1, 2]
    assert phases[0].sampling == Alone(any_size=True)
    rules = [p.sampling for p in phases[1:]]
    assert [(r.num_networks, r.open) for r in rules if isinstance(r, ProgressiveShrinking)] == [
        (1, {"r": 25, "ks": 3}),
        (2, {"r": 25, "ks": 3, "d": 2}),
        (2, {"r": 25, "ks": 3, "d": 3}),
        (4, {"r": 25, "ks": 3, "d": 3, "e": 2}),
        (4, {"r": 25, "ks": 3, "d": 3, "e": 3}),
    ]
    assert (recipe.optimizer, recipe.distillation, recipe.dropout) == ("sgd", 0.5, 0.1)


def test_progressive_shrinking_takes_its_phases_from_the_space() -> None:
    names = {name: [p.name for p in preset("progressive", get_space(name)).then] for name in space_names()}
    assert names["demo"] == ["kernel", "depth 1", "depth 2", "expand"]
    assert names["ofa-resnet50"] == ["depth 1", "depth 2", "expand 1", "expand 2", "width 1", "width 2"]
    assert names["ofa-proxyless-w1.3"] == ["kernel", "depth 1", "depth 2", "expand 1", "expand 2"]


@pytest.mark.parametrize("name", space_names())
def test_the_last_phase_opens_the_whole_space(name) -> None:
    space = get_space(name)
    rule = preset("progressive", space).phases[-1].sampling
    drawn = [one.architecture for seed in range(60) for one in rule.draw(space, np.random.default_rng(seed))]
    genomes = space.genomes(drawn)
    assert (genomes.min(0) == 0).all()
    assert (genomes.max(0) == space.choice_counts - 1).mean() > 0.9


@pytest.mark.parametrize("epochs", [6, 7, 12, 30, 100, 605, 1000])
def test_epochs_are_shared_out_in_proportion(epochs) -> None:
    recipe = preset("progressive", get_space("ofa-mobilenetv3-w1.0"), epochs, 0.8)
    own = [phase.epochs for phase in recipe.phases]
    assert sum(own) == recipe.all_epochs == epochs
    exact = np.array([180, 125, 25, 125, 25, 125]) * epochs / 605
    assert (np.abs(own - exact) < 1.5).all()
    assert recipe.learning_rate == pytest.approx(0.8)
    assert recipe.phases[1].learning_rate == pytest.approx(0.3)


def test_too_few_epochs_are_refused() -> None:
    with pytest.raises(InputError, match="has 6 phases here, each of an epoch at least, but got 5"):
        preset("progressive", get_space("ofa-mobilenetv3-w1.0"), 5)


def test_fields_are_changed_by_name() -> None:
    recipe = adjusted(TrainRecipe(), {"batch_size": 8, "dropout": None, "mirror": True, "crop_area": 0.5})
    assert recipe.augmentation is not None
    varied = replace(recipe.augmentation, mirror=True, crop_area=0.5)
    assert recipe == TrainRecipe(batch_size=8, augmentation=varied)
    bare = adjusted(TrainRecipe(augmentation=None), {"mirror": True}).augmentation
    assert bare is not None
    assert (bare.mirror, bare.shift_share, bare.erase_probability) == (True, 0.0, 0.0)


def test_progressive_shrinking_needs_a_phase_before_it() -> None:
    with pytest.raises(InputError, match="a phase that trains the largest must come before"):
        TrainRecipe(sampling=ProgressiveShrinking())


def test_the_number_of_subnets_a_step_goes_to_the_rule_that_has_one(space) -> None:
    assert adjusted(preset("sandwich", space), {"subnets": 3}).sampling == Sandwich(num_random=3)
    assert adjusted(preset("attentive", space), {"subnets": 1}).sampling == Attentive(num_chosen=1)
    with pytest.raises(InputError, match="--subnets is for sandwich, attentive and quantization-aware; fair"):
        adjusted(preset("fair", space), {"subnets": 3})
