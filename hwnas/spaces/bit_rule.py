"""What a space says about the bitwidth policies of its networks."""

from dataclasses import dataclass
from typing import Literal

Tie = Literal["layer", "stage", "network"]


@dataclass(frozen=True)
class BitRule:
    """What a space says about its policies.

    Attributes:
        tie: who chooses: each layer (a block is one layer), all layers of a stage together, or the
            whole network at once.
        first_at_least, last_at_least: the least bits of weights and of activations in the first and
            in the last layer with weights; where no pair of the device has as many, its widest is
            taken. With choices of 4, 6 and 8, at least 8 means 8 fixed.
            Source: HAQ (Wang et al., 2019), section 3.2, and APQ (Wang et al., 2020) leave both at 8.
    """

    tie: Tie = "layer"
    first_at_least: int = 8
    last_at_least: int = 8
