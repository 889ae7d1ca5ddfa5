"""Training of the neural models; the one module of this folder that loads torch."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch

from hwnas.predictors.bases import Inputs
from hwnas.predictors.features import Floats
from hwnas.predictors.model import SMALLEST_DEVIATION
from hwnas.predictors.neural import Encoder, Perceptron, choice_columns, layer_columns

_HIDDEN, _FLOW, _HEAD = (400, 400, 400), 32, 64
_STEPS, _STEPS_A_POINT, _MOST_STEPS = 100, 4, 800
_BATCH, _RATE, _DECAY = 64, 2e-3, 1e-3

_Weights = dict[str, torch.Tensor]


def fit_perceptron(inputs: Inputs, targets: Floats, seed: int) -> Perceptron:
    """Returns a perceptron trained on targets [N]."""
    generator = torch.Generator().manual_seed(seed)
    columns = torch.tensor(choice_columns(inputs.candidates), dtype=torch.float32)
    sizes = [columns.shape[1], *_HIDDEN, 1]
    weights = {}
    for layer, (wide, narrow) in enumerate(pairwise(sizes)):
        weights[f"w{layer}"], weights[f"b{layer}"] = _linear(wide, narrow, generator)

    def forward(rows: torch.Tensor) -> torch.Tensor:
        hidden = columns[rows]
        for layer in range(len(_HIDDEN)):
            hidden = torch.relu(hidden @ weights[f"w{layer}"] + weights[f"b{layer}"])
        return (hidden @ weights[f"w{len(_HIDDEN)}"] + weights[f"b{len(_HIDDEN)}"])[:, 0]

    return Perceptron(*_trained(weights, forward, targets, generator))


def fit_encoder(inputs: Inputs, targets: Floats, seed: int) -> Encoder:
    """Returns an encoder of the chain of layers trained on targets [N]."""
    generator = torch.Generator().manual_seed(seed)
    described, filled = layer_columns(inputs.candidates)
    columns = torch.tensor(described, dtype=torch.float32)
    present = torch.tensor(filled, dtype=torch.float32)[:, :, None]
    weights = {"start": torch.ones(_FLOW)}
    weights["gate_w"], weights["gate_b"] = _linear(columns.shape[2], _FLOW, generator)
    weights["flow_w"], weights["flow_b"] = _linear(_FLOW, _FLOW, generator)
    # A chain of dozens of layers multiplies: each begins by adding little.
    weights["flow_w"] /= columns.shape[1] ** 0.5
    weights["head_w"], weights["head_b"] = _linear(_FLOW, _HEAD, generator)
    weights["out_w"], weights["out_b"] = _linear(_HEAD, 1, generator)

    def forward(rows: torch.Tensor) -> torch.Tensor:
        gates = torch.sigmoid(columns[rows] @ weights["gate_w"] + weights["gate_b"]) * present[rows]
        flow = weights["start"].expand(len(rows), _FLOW)
        for slot in range(gates.shape[1]):
            flow = flow + gates[:, slot] * (flow @ weights["flow_w"] + weights["flow_b"])
        hidden = torch.relu(flow @ weights["head_w"] + weights["head_b"])
        return (hidden @ weights["out_w"] + weights["out_b"])[:, 0]

    return Encoder(*_trained(weights, forward, targets, generator))


def _linear(wide: int, narrow: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(wide, narrow, generator=generator) * (2 / wide) ** 0.5, torch.zeros(narrow)


def _trained(
    weights: _Weights,
    forward: Callable[[torch.Tensor], torch.Tensor],
    targets: Floats,
    generator: torch.Generator,
) -> tuple[dict[str, Floats], float]:
    """Trains weights in place; returns them as arrays, with the targets' scale, and the deviation."""
    deviation = max(float(targets.std()), SMALLEST_DEVIATION)
    middle = float(targets.mean())
    wanted = torch.tensor((targets - middle) / deviation, dtype=torch.float32)
    for weight in weights.values():
        weight.requires_grad_(True)
    steps = min(_STEPS + _STEPS_A_POINT * len(targets), _MOST_STEPS)
    optimizer = torch.optim.AdamW(list(weights.values()), lr=_RATE, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=steps)
    for _ in range(steps):
        rows = torch.randint(len(wanted), (min(_BATCH, len(wanted)),), generator=generator)
        # Real latencies have right tails: beyond a deviation an error counts in proportion only.
        loss = torch.nn.functional.smooth_l1_loss(forward(rows), wanted[rows])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(list(weights.values()), 1.0)
        optimizer.step()
        schedule.step()
    arrays = {name: weight.detach().numpy().astype(np.float64) for name, weight in weights.items()}
    return {**arrays, "target": np.array([middle, deviation])}, deviation
