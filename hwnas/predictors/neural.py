"""Neural models: a multilayer perceptron on choices, and an encoder that follows the chain of layers.

Torch trains them (`neural_training`); predicting is plain numpy, so that a file is read without torch.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from hwnas.predictors.bases import Inputs
from hwnas.predictors.features import Floats, bits_taken, encoding, one_hot
from hwnas.predictors.model import Model
from hwnas.spaces import Candidates, Layer, Space

Tensors = Mapping[str, Floats]
_KINDS = ("conv", "mbconv", "bottleneck", "pool", "linear")


@dataclass(frozen=True, eq=False)
class Neural(Model):
    """A network from candidates to standardised targets.

    Attributes:
        tensors: its weights, float64 arrays by name, with `target` (mean and scale) among them.
        deviation: of one measurement, the same for every candidate.
    """

    tensors: Tensors
    deviation: float

    @abstractmethod
    def forward(self, candidates: Candidates) -> Floats:
        """Returns the standardised targets [n]."""

    def mean(self, inputs: Inputs) -> Floats:
        """Returns the expected target [n]."""
        middle, scale = self.tensors["target"]
        return np.asarray(middle + scale * self.forward(inputs.candidates))

    def mean_and_deviation(self, inputs: Inputs) -> tuple[Floats, Floats]:
        """Returns the expected target [n] and one deviation for all."""
        mean = self.mean(inputs)
        return mean, np.full(len(mean), self.deviation)


class Perceptron(Neural):
    """Three hidden layers of 400 on one-hot choices and their amounts.

    Source: the latency predictor of Once-for-All (Cai et al., 2020), section 4.
    """

    def forward(self, candidates: Candidates) -> Floats:
        """Returns the standardised targets [n]."""
        hidden = choice_columns(candidates)
        for layer in range(_depth(self.tensors) - 1):
            hidden = np.maximum(hidden @ self.tensors[f"w{layer}"] + self.tensors[f"b{layer}"], 0.0)
        last = _depth(self.tensors) - 1
        out: Floats = (hidden @ self.tensors[f"w{last}"] + self.tensors[f"b{last}"])[:, 0]
        return out

    def to_json(self) -> dict[str, Any]:
        """Returns all but the tensors."""
        return {"kind": "perceptron", "deviation": self.deviation}


class Encoder(Neural):
    """Information that flows through the chain of layers, gated by each layer.

    Every layer reads what arrives, transforms it and lets pass what its own description opens.

    Source: Ning et al., GATES (2020), section 3.2, equation 1: an operation's embedding is a gate
    on the information of a node. Our graph is a chain; each layer adds to what arrives, and
    operations are described by shape, work and bits instead of a table of names.
    """

    def forward(self, candidates: Candidates) -> Floats:
        """Returns the standardised targets [n]."""
        tensors = self.tensors
        columns, present = layer_columns(candidates)
        flow = np.repeat(tensors["start"][None], len(candidates), axis=0)
        for slot in range(columns.shape[1]):
            gate = _sigmoid(columns[:, slot] @ tensors["gate_w"] + tensors["gate_b"])
            passed = gate * (flow @ tensors["flow_w"] + tensors["flow_b"])
            flow = flow + present[:, slot, None] * passed
        hidden = np.maximum(flow @ tensors["head_w"] + tensors["head_b"], 0.0)
        out: Floats = (hidden @ tensors["out_w"] + tensors["out_b"])[:, 0]
        return out

    def to_json(self) -> dict[str, Any]:
        """Returns all but the tensors."""
        return {"kind": "encoder", "deviation": self.deviation}


def neural_of_json(fields: dict[str, Any], tensors: Tensors, space: Space) -> Neural:
    """Returns the network that `to_json` and its tensors described.

    Raises:
        KeyError, TypeError, ValueError: malformed, or tensors that do not fit the space.
    """
    kind = {"perceptron": Perceptron, "encoder": Encoder}[fields["kind"]]
    if not all(np.isfinite(value).all() for value in tensors.values()):
        raise ValueError("weights must be finite")
    network = kind(dict(tensors), float(fields["deviation"]))
    smallest = Candidates.of_genomes(space, np.zeros((1, len(space.genes)), dtype=np.int64))
    if network.mean(Inputs(smallest)).shape != (1,) or not network.deviation > 0:
        raise ValueError("weights do not fit")
    return network


def choice_columns(candidates: Candidates) -> Floats:
    """Returns one-hot choices and the encoding, [n, columns]."""
    return np.concatenate([one_hot(candidates), encoding(candidates)], axis=1)


def layer_columns(candidates: Candidates) -> tuple[Floats, Floats]:
    """Returns descriptions of the layers [n, slots, columns], and which slots are filled [n, slots]."""
    ids = candidates.layer_ids
    described = _descriptions(candidates.space)[ids]
    bits = [bits_taken(bits) for bits in (candidates.weight_bits, candidates.activation_bits)]
    return np.concatenate([described, np.stack(bits, axis=2)], axis=2), (ids >= 0).astype(np.float64)


@lru_cache(maxsize=16)
def _descriptions(space: Space) -> Floats:
    """Each layer of the vocabulary at unit scale, and zeros for an empty slot, [V + 1, columns]."""
    raw = np.array([_described(layer) for layer in space.vocabulary])
    scale = np.maximum(np.abs(raw).max(axis=0), 1e-9)
    return np.concatenate([raw / scale, np.zeros((1, raw.shape[1]))])


def _described(layer: Layer) -> list[float]:
    macs = sum(op.macs for op in layer.ops)
    weights = sum(op.weights for op in layer.ops)
    sizes = [layer.in_channels, layer.out_channels, layer.mid_channels or 0, macs, weights, layer.in_size_px]
    return [
        *(float(layer.kind == kind) for kind in _KINDS),
        *np.log2(1.0 + np.array(sizes, dtype=np.float64)).tolist(),
        float(layer.kernel),
        float(layer.stride),
        float(layer.se),
        float(len(layer.ops)),
        float((layer.mid_channels or 0) / layer.in_channels),
    ]


def _depth(tensors: Tensors) -> int:
    return sum(name.startswith("w") for name in tensors)


def _sigmoid(values: Floats) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * values)))
