"""Dropout before the classifier, drawn from a generator that is handed in."""

from typing import Any

import torch

from hwnas.supernet.elastic import ElasticLinear
from hwnas.supernet.model import Supernet


class Dropout:
    """Drops inputs of a supernet's classifier in training; `begin` each step with its generator.

    Source: Once-for-All's official code, which has it at the same place.
    """

    def __init__(self, supernet: Supernet, share: float) -> None:
        """Attaches itself to the supernet; `share` of the inputs become 0, the others grow to make up."""
        self._share = share
        self._generator = torch.Generator()
        self._rank, self._size = 0, 1
        for part in supernet.modules():
            if isinstance(part, ElasticLinear):
                part.register_forward_pre_hook(self._drop)

    def begin(self, generator: torch.Generator, rank: int, size: int) -> None:
        """Takes the generator of a step, of the CPU, and which part of the batch is passed."""
        self._generator, self._rank, self._size = generator, rank, size

    def _drop(self, linear: torch.nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        x, *others = inputs
        n, channels = x.shape[:2]
        chance = torch.rand((self._size, n, channels), generator=self._generator)[self._rank].to(x.device)
        kept = (chance >= self._share).to(x.dtype) / (1 - self._share)
        return x * kept.view(n, channels, *[1] * (x.ndim - 2)), *others
