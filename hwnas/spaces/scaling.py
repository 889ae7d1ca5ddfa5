"""Compound scaling: the obvious way to get a family of networks, and so a baseline for searches."""

import numpy as np

from hwnas.spaces.architecture import Architecture
from hwnas.spaces.space import Space

# Growth a unit of phi of depth, width and resolution.
_RATES = {"d": 1.2, "e": 1.1, "r": 1.15}


def compound_scaled(space: Space, phis: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[Architecture]:
    """Returns the smallest architecture scaled by each phi: depth, width and resolution together.

    Width is the expand ratio, since stage widths are fixed; each gene takes the choice nearest to
    its scaled value; kernels stay at the smallest.

    Source: EfficientNet (Tan and Le, 2019), section 3.3, equation 3, with alpha, beta and gamma of
    section 4; we scale the expand ratio where EfficientNet scales channels.
    """
    genomes = np.zeros((len(phis), len(space.genes)), dtype=np.int64)
    for column, gene in enumerate(space.genes):
        if gene.group in _RATES:
            wanted = gene.choices[0] * _RATES[gene.group] ** np.asarray(phis)
            genomes[:, column] = np.abs(wanted[:, None] - np.array(gene.choices)).argmin(axis=1)
    return space.architectures(genomes)
