"""Step sizes that are learned: a factor for each bitwidth on the step that follows from the values.

A supernet's tensors differ with the architecture, so what is learned is how much finer or coarser
than their own range they are best quantized, not the step itself.

Source: Learned Step Size Quantization (Esser et al., 2020), sections 2.1 and 2.2, for the gradients;
the factors are ours.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class LearnedSteps(nn.Module):
    """Factors of one tensor's steps, one for each channel that has a step of its own.

    Attributes:
        bits: for which there are factors, a row each.
        log2: [bits, channels], the logarithms; 0 at first, where weight decay pulls them back to.
    """

    def __init__(self, bits: Sequence[int], channels: int = 1) -> None:
        super().__init__()
        self.bits = tuple(bits)
        self.log2 = nn.Parameter(torch.zeros(len(self.bits), channels))

    def factor(self, bits: int, channels: int = 1) -> Tensor | None:
        """Returns the factors of the first channels, [channels]; None where none are learned."""
        return torch.exp2(self.log2[self.bits.index(bits), :channels]) if bits in self.bits else None


def learned_quantized(x: Tensor, scale: Tensor, lowest: Tensor, highest: Tensor) -> Tensor:
    """Returns x after quantizing and back, with gradients for x where it is not clipped, and for the scale.

    Args:
        x: any shape.
        scale: above zero, a shape that x broadcasts with.
        lowest, highest: the integers at the ends of the range, without dimensions.
    """
    levels = torch.maximum(-lowest, highest)
    scale = _damped(scale, (x.numel() / scale.numel() * levels).rsqrt())
    places = x / scale
    rounded = places + (places.round() - places).detach()
    return rounded.clamp(lowest, highest) * scale


def _damped(x: Tensor, share: Tensor) -> Tensor:
    """Returns x with so much of its gradient: a step moves no faster than the values it serves."""
    return share * x + (x - share * x).detach()
