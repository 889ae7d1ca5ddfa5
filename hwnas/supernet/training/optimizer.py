"""The optimizer of a recipe, with the groups of parameters that are treated apart."""

from typing import Any

import torch
from torch import Tensor, nn

from hwnas.supernet.training.muon import MuonAdamW, is_matrix
from hwnas.supernet.training.recipe import TrainRecipe


def make_optimizer(module: nn.Module, recipe: TrainRecipe) -> torch.optim.Optimizer:
    """Returns a fresh optimizer; set its rate with `set_learning_rate` before each step.

    Weights, kernel transforms, and vectors (normalisations and biases) are groups of their own.
    """
    transforms = {name: p for name, p in module.named_parameters() if ".transforms." in name}
    others = {name: p for name, p in module.named_parameters() if name not in transforms}
    groups: list[dict[str, Any]] = [
        {"params": [p for p in others.values() if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in others.values() if p.ndim <= 1], "weight_decay": 0.0},
        {
            "params": list(transforms.values()),
            "weight_decay": recipe.transform_decay,
            "share": recipe.transform_rate,
        },
    ]
    if recipe.optimizer == "sgd":
        nesterov = recipe.momentum > 0
        return torch.optim.SGD(groups, recipe.learning_rate, recipe.momentum, nesterov=nesterov, foreach=True)
    if recipe.optimizer == "muon":
        weights = groups[0].pop("params")
        return MuonAdamW(
            [p for p in weights if is_matrix(p)],
            [groups[0] | {"params": [p for p in weights if not is_matrix(p)]}, *groups[1:]],
            learning_rate=recipe.learning_rate,
            share=recipe.matrix_rate,
            weight_decay=recipe.weight_decay,
            betas=(recipe.momentum, 0.99),
        )
    return torch.optim.AdamW(groups, recipe.learning_rate, betas=(recipe.momentum, 0.99), foreach=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Sets the rate of each group: its share of `rate`."""
    for group in optimizer.param_groups:
        group["lr"] = group.get("share", 1.0) * rate


def restore_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Takes a state from a file, after a look at it: torch takes any, and fails a step later.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: it is of other groups or settings, or what is
            kept for a parameter does not fit it.
    """
    parts = optimizer.parts if isinstance(optimizer, MuonAdamW) else {"": optimizer}
    for name, part in parts.items():
        own, found = part.state_dict(), state[name] if name else state
        if _settings(found["param_groups"], own) != _settings(own["param_groups"], own):
            raise ValueError("its optimizer has other settings")
        parameters = [parameter for group in part.param_groups for parameter in group["params"]]
        for index, kept in found["state"].items():
            if not _fits(kept, parameters[index].shape, part):
                raise ValueError("its optimizer has kept what does not fit the weights")
    optimizer.load_state_dict(state)


_KEPT: dict[type, set[str]] = {
    torch.optim.AdamW: {"step", "exp_avg", "exp_avg_sq"},
    torch.optim.Muon: {"momentum_buffer"},
    torch.optim.SGD: {"momentum_buffer"},
}


def _settings(groups: list[dict[str, Any]], own: dict[str, Any]) -> list[dict[str, str]]:
    """What must be as it is here: not the learning rate, nor flags, which versions of torch add to."""
    wanted = [
        {key for key, value in group.items() if key != "lr" and not isinstance(value, bool | None)}
        for group in own["param_groups"]
    ]
    flags = [value for group in groups for key, value in group.items() if key not in {"lr", *wanted[0]}]
    if not all(isinstance(group["lr"], float) for group in groups):
        raise TypeError("a learning rate is no number")
    if not all(isinstance(value, bool | float | None) for value in flags):
        raise TypeError("a flag is none")
    return [
        {key: repr(group[key]) for key in sorted(keys)} for group, keys in zip(groups, wanted, strict=True)
    ]


def _fits(kept: Any, shape: torch.Size, optimizer: torch.optim.Optimizer) -> bool:
    """Whether there is nothing, or all that it keeps: tensors like the parameter, and a count of steps."""
    if not isinstance(kept, dict):
        return False
    if not kept:
        return True
    if isinstance(optimizer, torch.optim.SGD) and kept == {"momentum_buffer": None}:
        return True  # without momentum
    return kept.keys() == _KEPT[type(optimizer)] and all(
        isinstance(value, Tensor)
        and value.dtype == torch.float32
        and value.shape == (torch.Size() if name == "step" else shape)
        and (name != "step" or 0 <= float(value) < 2**31)
        for name, value in kept.items()
    )
