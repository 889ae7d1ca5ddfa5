"""Random numbers of a training run: each draw follows from (seed, purpose, step) alone.

So the number of steps done is the state of every generator, and all processes of a run draw alike.
"""

from enum import IntEnum

import numpy as np
import torch


class Purpose(IntEnum):
    """What random numbers are for."""

    WEIGHTS = 0
    ORDER = 1
    SAMPLING = 2
    AUGMENTATION = 3
    DROPOUT = 4
    SURVEY = 5


def rng(seed: int, purpose: Purpose, step: int) -> np.random.Generator:
    """Returns numpy's generator for a purpose at a step."""
    return np.random.default_rng([seed, int(purpose), step])


def torch_generator(seed: int, purpose: Purpose, step: int) -> torch.Generator:
    """Returns torch's generator, of the CPU, for a purpose at a step."""
    return torch.Generator().manual_seed(int(rng(seed, purpose, step).integers(2**63)))
