"""The exact front of a space: additive predictors and tables as factors, and back to candidates."""

from dataclasses import dataclass, replace

import numpy as np

from hwnas.predictors import AdditiveTerms
from hwnas.profilers.tables import BlockTable
from hwnas.search.exact import Factor, Floats, Ints, exact_front
from hwnas.search.genome import Genome
from hwnas.spaces import FLOAT_BITS, Candidates, Space


@dataclass(frozen=True, eq=False)
class ExactCandidates:
    """The exact front of two additive metrics.

    Attributes:
        candidates: [n], by ascending cost.
        cost, score: their metrics [n], the one to minimise and the one to maximise.
    """

    candidates: Candidates
    cost: Floats
    score: Floats


def exact_candidates(
    genome: Genome, cost: AdditiveTerms, score: AdditiveTerms, cost_limit: float = np.inf
) -> ExactCandidates:
    """Returns the exact front over all candidates of a genome, its bits included.

    Links that saturate make equal metrics of different sums; of those one candidate is kept.

    Args:
        cost: what is minimised.
        score: what is maximised.
        cost_limit: in the metric of `cost`; candidates above it are left out.

    Returns:
        The front; empty where nothing is within the limit.
    """
    space, bits = genome.space, genome.bit_genes
    num_genes = len(space.genes)
    factors = [Factor((num_genes - 1,), cost.sizes, score.sizes), *_slot_factors(genome, cost, score)]
    found = exact_front(factors, num_genes + len(bits.allowed), outer=num_genes - 1)
    policies = _policies(genome, found.choices[:, num_genes:])
    candidates = Candidates.of_genomes(space, found.choices[:, :num_genes], *policies)
    costs, scores = cost.to_metric(found.cost), score.to_metric(found.score)
    # By ascending sums, metrics only rise: of a run of equal ones, one end dominates the others.
    rows = np.flatnonzero((np.diff(costs, append=np.inf) > 0) & (np.diff(scores, prepend=-np.inf) > 0))
    rows = rows[costs[rows] <= cost_limit]
    return ExactCandidates(candidates[rows], costs[rows], scores[rows])


def table_terms(table: BlockTable, space: Space, figure: str = "latency_ms") -> AdditiveTerms:
    """Returns the terms of a block table; layers that it lacks are not allowed (NaN).

    Args:
        table: of a device.
        space: whose layers are looked up.
        figure: `latency_ms` or `energy_mj`.
    """
    known: dict[tuple[int, int], Floats] = {}

    def values(weight_bits: int, activation_bits: int) -> Floats:
        pair = weight_bits, activation_bits
        if pair not in known:
            known[pair] = column(*pair)
        return np.broadcast_to(known[pair], (len(space.slots), len(known[pair])))

    def column(weight_bits: int, activation_bits: int) -> Floats:
        layers = [
            replace(layer, weight_bits=weight_bits, activation_bits=activation_bits)
            if layer.quantizable
            else layer
            for layer in space.vocabulary
        ]
        costs = [table.cost(layer) for layer in layers]
        found = [None if one is None else getattr(one, figure) for one in costs]
        return np.array([*(np.nan if one is None else one for one in found), 0.0], dtype=np.float64)

    constant = getattr(table.constant, figure) if table.constant else 0.0
    return AdditiveTerms(
        space=space,
        metric=figure,
        sizes=np.full(len(space.image_sizes), float(constant or 0.0)),
        values=values,
        to_metric=lambda sums: sums,
        exact=True,
    )


def _slot_factors(genome: Genome, cost: AdditiveTerms, score: AdditiveTerms) -> list[Factor]:
    space, bits = genome.space, genome.bit_genes
    pairs = dict.fromkeys([(FLOAT_BITS, FLOAT_BITS), *(pair for group in bits.allowed for pair in group)])
    tables = {pair: (cost.values(*pair), score.values(*pair)) for pair in pairs}
    factors = []
    for slot, (columns, ids) in enumerate(zip(space.tables.columns, space.tables.tables, strict=True)):
        group = int(bits.group_of_slot[slot])
        allowed = bits.allowed[group] if group >= 0 else ((FLOAT_BITS, FLOAT_BITS),)
        parts = [np.stack([tables[pair][side][slot][ids] for pair in allowed], axis=-1) for side in (0, 1)]
        if len(allowed) == 1:
            factors.append(Factor(columns, parts[0][..., 0], parts[1][..., 0]))
        else:
            factors.append(Factor((*columns, len(space.genes) + group), *parts))
    return factors


def _policies(genome: Genome, chosen: Ints) -> tuple[Ints, Ints]:
    """Weight and activation bits [n, slots] of the index of each group's pair [n, groups]."""
    bits = genome.bit_genes
    out = np.full((2, len(chosen), len(bits.group_of_slot)), FLOAT_BITS, dtype=np.int64)
    for slot, group in enumerate(bits.group_of_slot.tolist()):
        if group >= 0:
            out[:, :, slot] = np.array(bits.allowed[group])[chosen[:, group]].T
    return out[0], out[1]
