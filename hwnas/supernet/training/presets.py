"""Recipes by name: what `hwnas train --recipe` starts from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hwnas.data.augment import Augmentation
from hwnas.errors import InputError, unknown_name
from hwnas.spaces import Space
from hwnas.supernet.training.phase import Phase
from hwnas.supernet.training.recipe import TrainRecipe
from hwnas.supernet.training.sampling import (
    Alone,
    Attentive,
    Fair,
    ProgressiveShrinking,
    QuantizedSandwich,
    SamplingRule,
    Sandwich,
)

# Once-for-All's schedule as published, for 64 images a step: epochs and learning rates of the largest
# network, of the kernel phase, and of the first and second phase of every other kind of gene.
_LARGEST, _KERNEL, _FIRST, _SECOND = (180, 8e-2), (125, 3e-2), (25, 2.5e-3), (125, 7.5e-3)
_WARMUP_SHARE = 5 / 125  # of a phase; those of 25 epochs have none
# In which order groups of genes are opened, what that is called, and how many networks a step trains.
_OPENED = {"ks": ("kernel", 1), "d": ("depth", 2), "e": ("expand", 4), "w": ("width", 4)}


def preset_names() -> list[str]:
    """Returns the names that `preset` knows."""
    return list(_PRESETS)


def preset(
    name: str, space: Space, epochs: int | None = None, learning_rate: float | None = None
) -> TrainRecipe:
    """Returns a recipe by name; change any other field with `dataclasses.replace`.

    `sandwich` is the default recipe, `attentive` and `fair` are the same with other sampling rules;
    `progressive` is Once-for-All's; `quantization-aware` tunes a trained supernet for few bits, and
    so goes on from one.

    Args:
        name: one of `preset_names()`.
        space: whose choices the phases open, one after another.
        epochs: passes over the train split, over all phases; None for the preset's own.
        learning_rate: the highest of the first phase; others keep their proportion to it.

    Raises:
        InputError: an unknown name, or fewer epochs than there are phases.
    """
    if name not in _PRESETS:
        raise unknown_name("recipe", name, _PRESETS)
    return _PRESETS[name](space, epochs, learning_rate)


def adjusted(recipe: TrainRecipe, changes: Mapping[str, Any]) -> TrainRecipe:
    """Returns a recipe with some fields changed, its own or those of its augmentation.

    Args:
        recipe: left as it is.
        changes: new values by the names of fields; None leaves a field as it is. `subnets` is the
            number of networks a step trains beside the largest and the smallest; `bits` are those
            that quantization-aware training draws from, and `learned_steps` whether it learns step
            sizes.

    Raises:
        InputError: a value out of its range, or `subnets`, `bits` or `learned_steps` where the
            sampling rule has none.
    """
    wanted = {name: value for name, value in changes.items() if value is not None}
    if "subnets" in wanted:
        wanted["sampling"] = _with_subnets(recipe.sampling, wanted.pop("subnets"))
    if "bits" in wanted:
        wanted["sampling"] = _with_bits(wanted.get("sampling", recipe.sampling), wanted.pop("bits"))
    if "learned_steps" in wanted:
        rule = wanted.get("sampling", recipe.sampling)
        wanted["sampling"] = _with_learned_steps(rule, wanted.pop("learned_steps"))
    varied = {name: wanted.pop(name) for name in list(wanted) if name in Augmentation.__dataclass_fields__}
    if varied:
        augmentation = recipe.augmentation or Augmentation(shift_share=0.0, erase_probability=0.0)
        wanted["augmentation"] = replace(augmentation, **varied)
    return replace(recipe, **wanted)


def _with_subnets(rule: SamplingRule, subnets: int) -> SamplingRule:
    if isinstance(rule, Sandwich | QuantizedSandwich):
        return replace(rule, num_random=subnets)
    if isinstance(rule, Attentive):
        return replace(rule, num_chosen=subnets)
    raise InputError(
        f"--subnets is for sandwich, attentive and quantization-aware; {rule.name} sampling sets the "
        f"number itself"
    )


def _with_bits(rule: SamplingRule, bits: Sequence[int]) -> SamplingRule:
    if isinstance(rule, QuantizedSandwich):
        return replace(rule, bits=tuple(bits))
    raise InputError(f"--bits is for the quantization-aware recipe; {rule.name} sampling has none")


def _with_learned_steps(rule: SamplingRule, learned: bool) -> SamplingRule:
    if isinstance(rule, QuantizedSandwich):
        return replace(rule, learned_steps=learned)
    raise InputError(f"--learned-steps is for the quantization-aware recipe, not for {rule.name} sampling")


def _sandwich(space: Space, epochs: int | None, learning_rate: float | None) -> TrainRecipe:
    defaults = TrainRecipe()
    return replace(
        defaults,
        epochs=defaults.epochs if epochs is None else epochs,
        learning_rate=defaults.learning_rate if learning_rate is None else learning_rate,
    )


def _attentive(space: Space, epochs: int | None, learning_rate: float | None) -> TrainRecipe:
    return replace(_sandwich(space, epochs, learning_rate), sampling=Attentive())


def _fair(space: Space, epochs: int | None, learning_rate: float | None) -> TrainRecipe:
    return replace(_sandwich(space, epochs, learning_rate), sampling=Fair())


def _quantization_aware(space: Space, epochs: int | None, learning_rate: float | None) -> TrainRecipe:
    """Returns a short run at a tenth of the rate: what the supernet knows is to be kept."""
    return replace(
        _sandwich(space, 3 if epochs is None else epochs, 4e-4 if learning_rate is None else learning_rate),
        sampling=QuantizedSandwich(),
        warmup_epochs=0.2,
    )


def _progressive(space: Space, epochs: int | None, learning_rate: float | None) -> TrainRecipe:
    """Returns the largest network's phase, then one or two for each group of genes with a choice."""
    opened = {"r": len(space.image_sizes)}
    published: list[tuple[int, float]] = []
    named: list[tuple[str, ProgressiveShrinking, int]] = []
    for group in _groups(space):
        most = max(len(gene.choices) for gene in space.genes if gene.group == group)
        kind, num_networks = _OPENED.get(group, (group, 4))
        stages = [most] if group == "ks" or most == 2 else [2, most]
        for stage, number in enumerate(stages, 1):
            opened[group] = number
            name = kind if len(stages) == 1 else f"{kind} {stage}"
            published.append(_KERNEL if group == "ks" else (_FIRST, _SECOND)[stage - 1])
            rule = ProgressiveShrinking(num_networks, dict(opened))
            named.append((name, rule, stage if group == "e" else 0))
    own = _shared_out(epochs, [_LARGEST[0], *(share for share, _ in published)])
    scale = 1.0 if learning_rate is None else learning_rate / _LARGEST[1]
    return TrainRecipe(
        epochs=own[0],
        optimizer="sgd",
        learning_rate=scale * _LARGEST[1],
        weight_decay=3e-5,
        transform_decay=3e-5,
        warmup_epochs=_WARMUP_SHARE * own[0],
        label_smoothing=0.1,
        distillation=0.5,
        dropout=0.1,
        gradient_clip=None,
        sampling=Alone(any_size=True),
        augmentation=Augmentation(erase_probability=0.0),
        then=tuple(
            Phase(
                name=name,
                epochs=share,
                learning_rate=scale * rate,
                warmup_epochs=0.0 if (full, rate) == _FIRST else _WARMUP_SHARE * share,
                sampling=rule,
                sort_channels=kept_widths,
            )
            for (name, rule, kept_widths), (full, rate), share in zip(named, published, own[1:], strict=True)
        ),
    )


def _groups(space: Space) -> list[str]:
    """Returns the groups of genes with a choice, in the order they are opened; not the image size."""
    there = {gene.group: None for gene in space.genes if len(gene.choices) > 1 and gene.group != "r"}
    return sorted(there, key=lambda group: [*_OPENED, group].index(group))


def _shared_out(epochs: int | None, published: Sequence[int]) -> list[int]:
    """Returns the epochs of each phase: in proportion, at least one, in sum `epochs`.

    Raises:
        InputError: fewer epochs than phases.
    """
    if epochs is None:
        return list(published)
    if epochs < len(published):
        raise InputError(
            f"progressive shrinking has {len(published)} phases here, each of an epoch at least, but got "
            f"{epochs} epochs; raise --epochs"
        )
    exact = [share * epochs / sum(published) for share in published]
    own = [max(1, int(share)) for share in exact]
    while sum(own) != epochs:
        step = 1 if sum(own) < epochs else -1
        movable = [place for place in range(len(own)) if own[place] + step >= 1]
        own[max(movable, key=lambda place: step * (exact[place] - own[place]))] += step
    return own


_PRESETS: dict[str, Callable[[Space, int | None, float | None], TrainRecipe]] = {
    "sandwich": _sandwich,
    "progressive": _progressive,
    "attentive": _attentive,
    "fair": _fair,
    "quantization-aware": _quantization_aware,
}
