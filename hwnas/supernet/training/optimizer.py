"""The optimizer of a recipe, with the groups of parameters that are treated apart."""

from typing import Any

import torch
from torch import nn

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
