"""The sandwich rule under bitwidth policies: one supernet for floating point and for few bits."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hwnas.errors import InputError
from hwnas.profilers.onnx.quantizer import MAX_BITS
from hwnas.spaces import Architecture, BitwidthPolicy, Space
from hwnas.supernet.training.sampling.rule import AccuracyOf, Sampled, SamplingRule

# One policy in so many has the same bits everywhere; independent draws would hardly ever.
_UNIFORM = 4


@dataclass(frozen=True)
class QuantizedSandwich(SamplingRule):
    """The largest in floating point teaches the smallest and random architectures, most of them quantized.

    Each quantized network has a policy of its own: weight and activation bits of every layer drawn
    independently, in one of four policies the same for all layers. The smallest is quantized in
    every second step. Networks in floating point keep what the supernet knew before.

    Source: APQ (Wang et al., 2020), section 3.1, for random policies a layer; Once Quantization-
    Aware Training (Shen et al., 2021), section 3.2, for quantized networks that share one set of
    weights; the teacher is BigNAS's (Yu et al., 2020).

    Attributes:
        bits: what is drawn from, each from 2 to 8.
        num_random: how many random architectures a step runs under random policies.
        num_float: how many random architectures a step runs in floating point.
        student_weight: of the loss of each network but the largest, whose weight is 1.
        learned_steps: whether step sizes are learned beside the weights (LSQ); without, they follow
            from the weights and from the batch at hand.
    """

    bits: tuple[int, ...] = (4, 6, 8)
    num_random: int = 3
    num_float: int = 1
    student_weight: float = 1.0
    learned_steps: bool = False
    name: ClassVar[str] = "quantized_sandwich"

    def __post_init__(self) -> None:
        """Raises InputError for a value out of its range."""
        if not self.bits or not all(2 <= bits <= MAX_BITS for bits in self.bits):
            raise InputError(
                f"quantization-aware training needs bits from 2 to {MAX_BITS}, but got "
                f"{', '.join(map(str, self.bits)) or 'none'}; floating point is always trained beside them"
            )
        if min(self.num_random, self.num_float) < 0:
            raise InputError(
                f"quantization-aware sampling needs num_random and num_float of at least 0, but got "
                f"{self.num_random} and {self.num_float}"
            )
        if not self.student_weight > 0:
            raise InputError(
                f"quantization-aware sampling needs student_weight above 0, but got {self.student_weight}"
            )

    def draw(
        self, space: Space, rng: np.random.Generator, accuracy_of: AccuracyOf | None = None
    ) -> list[Sampled]:
        """Returns the largest, the smallest, then the random ones, quantized ones first."""
        quantized = space.sample(self.num_random, rng)
        in_float = space.sample(self.num_float, rng)
        (quantized if rng.integers(2) else in_float).insert(0, space.smallest())
        pairs = [(one, self._policy(space, one, rng)) for one in quantized]
        students = [*pairs, *((one, None) for one in in_float)]
        return [
            Sampled(space.largest(), "labels"),
            *(Sampled(one, "first", self.student_weight, policy) for one, policy in students),
        ]

    def to_json(self) -> dict[str, Any]:
        """Returns the rule's name and fields, bits as a list."""
        return super().to_json() | {"bits": list(self.bits)}

    def _policy(self, space: Space, architecture: Architecture, rng: np.random.Generator) -> BitwidthPolicy:
        num_layers = sum(layer.quantizable for layer in space.layers(architecture))
        shape = (2, 1 if rng.integers(_UNIFORM) == 0 else num_layers)
        drawn = np.broadcast_to(rng.choice(self.bits, size=shape), (2, num_layers))
        weights, activations = drawn.tolist()
        return BitwidthPolicy(tuple(weights), tuple(activations))
