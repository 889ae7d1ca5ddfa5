"""Tuning a supernet for few bits: what is drawn, that it resumes, and that it helps."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from hwnas.data.batches import batches
from hwnas.errors import InputError
from hwnas.spaces import Candidates, get_space
from hwnas.supernet import (
    QuantizedSandwich,
    Sandwich,
    Supernet,
    TrainProgress,
    TrainRecipe,
    adjusted,
    load_supernet,
    preset,
    read_info,
    train,
)
from hwnas.supernet.training.sampling import Sampled

RECIPE = TrainRecipe(
    epochs=2,
    batch_size=16,
    optimizer="adamw",
    learning_rate=2e-3,
    sampling=QuantizedSandwich(bits=(2, 3), num_random=2),
)


class Stopped(Exception):
    """Stands for a power cut."""


@pytest.fixture
def start(space, dataset, tmp_path: Path):
    """Returns a supernet that was trained in floating point."""
    recipe = replace(RECIPE, epochs=5, learning_rate=5e-3, sampling=Sandwich(num_random=2))
    return load_supernet(train(space, dataset, recipe, tmp_path / "float.safetensors"), space)


def drawn(rule: QuantizedSandwich, steps: int = 300) -> list[list[Sampled]]:
    space = get_space("demo")
    return [rule.draw(space, np.random.default_rng(step)) for step in range(steps)]


def test_the_largest_in_floating_point_teaches_all_others() -> None:
    space = get_space("demo")
    for first, *others in drawn(QuantizedSandwich(), 20):
        assert (first.architecture, first.bits, first.target) == (space.largest(), None, "labels")
        assert len(others) == 1 + 3 + 1
        assert all(one.target == "first" for one in others)
        assert space.smallest() in [one.architecture for one in others]
        assert sum(one.bits is None for one in others) in (1, 2)


def test_policies_fit_their_network_and_cover_all_bits_and_uniform_ones() -> None:
    space = get_space("demo")
    policies = []
    for step in drawn(QuantizedSandwich(bits=(4, 6, 8))):
        for one in step:
            if one.bits is not None:
                own = sum(layer.quantizable for layer in space.layers(one.architecture))
                assert len(one.bits.weights) == len(one.bits.activations) == own
                policies.append(one.bits)
    weights = np.concatenate([policy.weights for policy in policies])
    assert all(0.28 < float((weights == bits).mean()) < 0.39 for bits in (4, 6, 8))
    uniform = [len({*policy.weights}) == len({*policy.activations}) == 1 for policy in policies]
    assert 0.2 < np.mean(uniform) < 0.35
    assert any(policy.weights != policy.activations for policy in policies)


@pytest.mark.parametrize("changes", [{"bits": ()}, {"bits": (1,)}, {"bits": (32,)}, {"num_random": -1}])
def test_impossible_rules_are_refused(changes) -> None:
    with pytest.raises(InputError, match="quantization-aware"):
        QuantizedSandwich(**changes)


def test_the_preset_takes_bits_and_learned_steps(space) -> None:
    recipe = adjusted(
        preset("quantization-aware", space), {"bits": (2, 8), "learned_steps": True, "subnets": 5}
    )
    assert recipe.sampling == QuantizedSandwich(bits=(2, 8), num_random=5, learned_steps=True)
    assert (recipe.bits, recipe.learned_steps) == ((2, 8), True)
    assert (TrainRecipe().bits, TrainRecipe().learned_steps) == ((), False)
    for change in ({"bits": (4,)}, {"learned_steps": True}):
        with pytest.raises(InputError, match="is for the quantization-aware recipe"):
            adjusted(preset("sandwich", space), change)


@pytest.mark.parametrize("learned", [False, True])
def test_a_stopped_run_ends_as_an_unbroken_one(space, dataset, tmp_path: Path, start, learned: bool) -> None:
    recipe = adjusted(RECIPE, {"learned_steps": learned})
    whole = train(space, dataset, recipe, tmp_path / "whole.safetensors", start=start)
    broken = tmp_path / "broken.safetensors"

    def stop(done: TrainProgress) -> None:
        if done.step == 5:
            raise Stopped

    with pytest.raises(Stopped):
        train(space, dataset, recipe, broken, stop, start=start, checkpoint_seconds=0)
    train(space, dataset, recipe, broken, start=start)
    train(space, dataset, recipe, broken, stop, start=start)  # complete: no step is made
    assert load_supernet(broken, space).digest() == load_supernet(whole, space).digest()
    info = read_info(broken)
    assert info == read_info(whole)
    assert (info.bits, info.learned_steps) == ((2, 3), learned)
    assert info.start is not None
    assert start.info is not None
    assert info.start["digest"] == start.digest()
    assert info.start["recipe"] == start.info.recipe
    assert {"accuracy_top1_largest", "accuracy_top1_smallest_2_bits"} <= set(info.metrics)


def test_a_run_from_another_supernet_is_another_run(space, dataset, tmp_path: Path, start) -> None:
    output = train(space, dataset, replace(RECIPE, epochs=1), tmp_path / "net.safetensors", start=start)
    with pytest.raises(InputError, match="holds a supernet of another start"):
        train(space, dataset, replace(RECIPE, epochs=1), output)
    other = load_supernet(output, space)
    with pytest.raises(InputError, match="another start"):
        train(space, dataset, replace(RECIPE, epochs=1), output, start=other)


def test_learned_steps_are_not_dropped_silently(space, dataset, tmp_path: Path, start) -> None:
    short = replace(RECIPE, epochs=1)
    learned = adjusted(short, {"learned_steps": True})
    tuned = load_supernet(train(space, dataset, learned, tmp_path / "tuned.safetensors", start=start), space)
    with pytest.raises(InputError, match="has learned steps, such as activation_steps"):
        train(space, dataset, short, tmp_path / "plain.safetensors", start=tuned)
    other = adjusted(learned, {"bits": (2, 3, 4)})
    with pytest.raises(InputError, match="for other bits"):
        train(space, dataset, other, tmp_path / "other.safetensors", start=tuned)


def test_tuning_lowers_the_loss_at_few_bits(space, dataset, tmp_path: Path, start) -> None:
    recipe = replace(RECIPE, epochs=8, sampling=QuantizedSandwich(bits=(2,), num_random=2))
    tuned = load_supernet(train(space, dataset, recipe, tmp_path / "tuned.safetensors", start=start), space)
    assert quantized_loss(tuned, dataset) < 0.9 * quantized_loss(start, dataset)


def quantized_loss(supernet: Supernet, dataset) -> float:
    """Returns the mean loss of six networks at 2 bits on the validate split."""
    space = supernet.space
    some = Candidates.of_genomes(space, space.sample_genomes(6, np.random.default_rng(0)), 2, 2)
    losses = []
    with torch.inference_mode():
        for one in some.unpack():
            ((x, y),) = batches(dataset.split("validate"), 50, one.architecture["r"])
            logits = copy.deepcopy(supernet).train()(x, one.architecture, one.bits)
            losses.append(functional.cross_entropy(logits, y).item())
    return float(np.mean(losses))
