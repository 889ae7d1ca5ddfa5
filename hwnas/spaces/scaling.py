"""Compound scaling: the obvious way to get a family of networks, and so a baseline for searches."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas.spaces.architecture import Architecture
from hwnas.spaces.space import Gene, Ints, Space

# Growth a unit of phi of depth, width and resolution.
_DEPTH, _WIDTH, _RESOLUTION = 1.2, 1.1, 1.15


def compound_scaled(
    space: Space, phis: Sequence[float] | NDArray[np.float64], base: Architecture | None = None
) -> list[Architecture]:
    """Returns a base architecture scaled by each phi: depth, width and resolution together.

    Width is the gene `w` where the space has one and the expand ratio elsewhere; each gene takes the
    choice nearest to its scaled amount. Kernels and other genes stay the base's; blocks that the
    base does not run take after the last one before them that it does.

    Args:
        base: what phi 0 gives; None takes the smallest architecture.

    Raises:
        InputError: a base of another space.

    Source: EfficientNet (Tan and Le, 2019), section 3.3, equation 3, with alpha, beta and gamma of
    section 4; where widths are fixed we scale the expand ratio instead.
    """
    start = space.genomes([base or space.smallest()])
    row = _filled(space, start[0], space.active_genes(start)[0])
    width = "w" if any(gene.group == "w" for gene in space.genes) else "e"
    rates = {"d": _DEPTH, width: _WIDTH, "r": _RESOLUTION}
    powers = np.asarray(phis, dtype=np.float64)[:, None]
    genomes = np.tile(row, (len(powers), 1))
    for column, gene in enumerate(space.genes):
        if gene.group in rates:
            amounts = _amounts(gene)
            wanted = amounts[row[column]] * rates[gene.group] ** powers
            genomes[:, column] = np.abs(wanted - amounts).argmin(axis=1)
    return space.architectures(genomes)


def _filled(space: Space, row: Ints, active: NDArray[np.bool_]) -> Ints:
    """The genome, with the genes that do not matter set to what is nearest to the gene before them."""
    filled: Ints = row.copy()
    before: dict[str, float] = {}
    for column, gene in enumerate(space.genes):
        amounts = _amounts(gene)
        if not active[column] and gene.group in before:
            filled[column] = np.abs(amounts - before[gene.group]).argmin()
        before[gene.group] = amounts[filled[column]]
    return filled


def _amounts(gene: Gene) -> NDArray[np.float64]:
    return np.array(gene.amounts or gene.choices, dtype=np.float64)
