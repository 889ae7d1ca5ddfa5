"""Muon for weight matrices beside AdamW for all else, as one optimizer."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn


def is_matrix(parameter: Tensor) -> bool:
    """Returns whether a parameter is a dense convolution's weight: a matrix [out, in x K x K] to Muon.

    Depthwise filters, the classifier and vectors are not: their rows do not mix channels, or stand
    for classes.
    """
    return parameter.ndim == 4 and parameter.shape[1] > 1


class MuonAdamW(torch.optim.Optimizer):
    """Steps of orthogonalised momentum for dense convolutions, AdamW for everything else.

    In a supernet each weight serves many networks, whose gradients agree in few directions;
    making the directions of a step equally long teaches the others as fast. It halves the passes
    over the data that a network needs, more for networks that share their weights.

    Source: Jordan et al. (2024), "Muon: an optimizer for hidden layers in neural networks";
    torch's `Muon`, on two-dimensional views of the weights.
    """

    def __init__(
        self,
        matrices: Sequence[nn.Parameter],
        others: Sequence[dict[str, Any]],
        *,
        learning_rate: float,
        share: float,
        weight_decay: float,
        betas: tuple[float, float],
    ) -> None:
        """Makes both optimizers.

        Args:
            matrices: parameters for which `is_matrix` holds.
            others: groups of the other parameters, as AdamW takes them.
            learning_rate: of AdamW.
            share: the learning rate of the matrices as a multiple of `learning_rate`.
            weight_decay: of the matrices.
            betas: of AdamW.
        """
        first = {"params": list(matrices), "share": share, "weight_decay": weight_decay}
        super().__init__([first, *others], {"lr": learning_rate})
        self._views = [_as_matrix(parameter) for parameter in matrices]
        self._muon = torch.optim.Muon(self._views, share * learning_rate, weight_decay)
        self._adamw = torch.optim.AdamW(others, learning_rate, betas=betas, foreach=True)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Updates all parameters that have gradients; a closure is not taken."""
        assert closure is None
        matrices, *others = self.param_groups
        for view, parameter in zip(self._views, matrices["params"], strict=True):
            view.grad = None if parameter.grad is None else _as_matrix(parameter.grad)
        for inner, groups in ((self._muon, [matrices]), (self._adamw, others)):
            for own, group in zip(inner.param_groups, groups, strict=True):
                own["lr"] = group["lr"]
            inner.step()  # type: ignore[no-untyped-call]

    @property
    def parts(self) -> dict[str, torch.optim.Optimizer]:
        """Both, by the names that their states have."""
        return {"muon": self._muon, "adamw": self._adamw}

    def state_dict(self) -> dict[str, Any]:
        """Returns the states of both."""
        return {name: part.state_dict() for name, part in self.parts.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the states of both."""
        for name, part in self.parts.items():
            part.load_state_dict(state_dict[name])


def _as_matrix(weight: Tensor) -> Tensor:
    """Returns a view [out, in x K x K] of a weight, columns in the order they have in memory."""
    weight = weight.detach()
    by_memory = weight if weight.is_contiguous() else weight.permute(0, 2, 3, 1)
    return by_memory.view(len(weight), -1)
