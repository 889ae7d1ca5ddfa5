"""Features of many candidates at once, from tables over the space's vocabulary of layers.

*Totals* are the physics of running a network: launches, multiply-accumulates by kind, bytes moved.
Work in floating point and work at fewer bits have columns of their own, since they run in
different kernels. *Encodings* say what stands at each place, and so what a network computes.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwnas.spaces import FLOAT_BITS, Candidates, Layer, Op, Space

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

COUNTED = ("layers", "blocks", "launches", "se", "pointwise", "depthwise", "dense", "vector")
MOVED = ("activation_bytes", "weight_bytes")

TOTALS = (
    *COUNTED,
    *MOVED,
    *(f"{name}_quantized" for name in (*COUNTED, *MOVED)),
    "border_tensors",
    "border_elements",
    "image_size",
)

# Totals that say how much a network computes, those of one kind together.
WORK = (
    ("blocks",),
    ("pointwise", "dense", "vector"),
    ("depthwise",),
    ("activation_bytes",),
    ("weight_bytes",),
)


class _LayerTable(NamedTuple):
    """What each layer adds; a last row of zeros stands for an empty slot (id -1)."""

    counted: Floats  # [V + 1, COUNTED]
    moved: Floats  # [V + 1, 2]: activation and weight elements
    inputs: Floats  # [V + 1]: elements of the input map
    size_px: Floats  # [V + 1]: side of the input map
    weighted: NDArray[np.bool_]  # [V + 1]: has weights, and so bits


def totals(candidates: Candidates) -> Floats:
    """Returns the physics of each candidate, float64 [n, len(TOTALS)], for a batch of one image.

    Columns are named by `TOTALS`. Multiply-accumulates: `pointwise` 1x1 convolutions on maps,
    `depthwise`, `dense` other convolutions, `vector` whatever works on 1x1 maps. `launches` counts
    operations, `layers` layers, `blocks` bottlenecks, inverted or not. The `_quantized` twins hold
    the work of layers below floating point, the plain ones the rest; `border_tensors` counts the
    places where the chain changes between the two and `border_elements` what is converted there.
    """
    table = _layer_table(candidates.space)
    ids, n, c = candidates.layer_ids, len(candidates), len(COUNTED)
    plain, quantized, rest = np.zeros((n, c + 2)), np.zeros((n, c + 2)), np.zeros((n, 3))
    low = quantized_slots(candidates)
    mixed = bool(low.any())
    before = np.zeros(n, dtype=bool)  # the image arrives in floating point
    for slot in range(ids.shape[1]):
        at = ids[:, slot]
        row = np.empty((n, c + 2))
        row[:, :c] = table.counted[at]
        row[:, c:] = table.moved[at]
        row[:, c] *= candidates.activation_bits[:, slot] / 8
        row[:, c + 1] *= candidates.weight_bits[:, slot] / 8
        plain += row
        if mixed:
            here = low[:, slot]
            quantized += row * here[:, None]
            crosses = (here != before) & table.weighted[at]
            rest[:, 0] += crosses
            rest[:, 1] += crosses * table.inputs[at]
            before = np.where(table.weighted[at], here, before)
    rest[:, 2] = table.size_px[ids[:, 0]]
    return np.concatenate([plain - quantized, quantized, rest], axis=1)


def layer_totals(space: Space, weight_bits: int, activation_bits: int) -> Floats:
    """Returns what each layer adds to the totals at these bits, [V + 1, len(TOTALS)]; no borders, no size.

    The last row is an empty slot's.
    """
    table, c = _layer_table(space), len(COUNTED)
    out = np.zeros((len(table.inputs), len(TOTALS)))
    start = (c + 2) * (min(weight_bits, activation_bits) < FLOAT_BITS)
    out[:, start : start + c] = table.counted
    out[:, start + c : start + c + 2] = table.moved * (np.array([activation_bits, weight_bits]) / 8)
    return out


def quantized_slots(candidates: Candidates) -> NDArray[np.bool_]:
    """Returns which slots [n, slots] hold a layer below floating point."""
    low: NDArray[np.bool_] = np.minimum(candidates.weight_bits, candidates.activation_bits) < FLOAT_BITS
    return low


def encoding(candidates: Candidates) -> Floats:
    """Returns what stands at each place, float64 [n, columns], each from 0 to 1.

    For every gene its amount over its largest, 0 where it does not matter; then, for each
    slot with weights, how far weights and activations are below floating point (0 in empty slots).
    `encoding_groups` says what each column is.
    """
    space = candidates.space
    values = gene_values(space)[np.arange(len(space.genes)), candidates.genomes]
    used = space.quantizable_slots
    bits = [bits_taken(bits[:, used]) for bits in (candidates.weight_bits, candidates.activation_bits)]
    return np.concatenate([values * space.active_genes(candidates.genomes), *bits], axis=1)


def encoding_groups(space: Space) -> tuple[str, ...]:
    """Returns for each column of `encoding` its gene's group, or `weight_bits` or `activation_bits`."""
    slots = int(space.quantizable_slots.sum())
    bits = [name for name in ("weight_bits", "activation_bits") for _ in range(slots)]
    return (*(gene.group for gene in space.genes), *bits)


def encoding_stages(space: Space) -> tuple[str, ...]:
    """Returns for each column of `encoding` the stage it stands in: that of the gene's first slot."""
    stages = [slot.rpartition(".")[0] for slot in space.slots]
    users = [
        [s for s, genes in zip(stages, space.tables.columns, strict=True) if gene in genes]
        for gene in range(len(space.genes))
    ]
    weighted = [stage for stage, used in zip(stages, space.quantizable_slots, strict=True) if used]
    return (*(some[0] if some else "" for some in users), *weighted, *weighted)


def one_hot(candidates: Candidates) -> Floats:
    """Returns a column of 0 and 1 for every choice of every gene, 0 where depth switches it off."""
    space = candidates.space
    counts = space.choice_counts
    gene = np.repeat(np.arange(len(counts)), counts)
    choice = np.concatenate([np.arange(count) for count in counts])
    active = space.active_genes(candidates.genomes)
    hot: Floats = ((candidates.genomes[:, gene] == choice) & active[:, gene]).astype(np.float64)
    return hot


def bits_taken(bits: Ints) -> Floats:
    """Returns the octaves below 16 bits over 4: 8 -> 4 -> 2 are equal steps, 16 and more are at 0."""
    return np.log2(16 / np.minimum(bits, 16)) / 4


@lru_cache(maxsize=16)
def _layer_table(space: Space) -> _LayerTable:
    layers = space.vocabulary
    return _LayerTable(
        counted=np.array([*map(_counted, layers), [0.0] * len(COUNTED)]),
        moved=np.array([*map(_moved, layers), [0.0] * 2]),
        inputs=np.array([*(layer.in_channels * layer.in_size_px**2 for layer in layers), 0], dtype=float),
        size_px=np.array([*(layer.in_size_px for layer in layers), 0], dtype=float),
        weighted=np.array([*(layer.quantizable for layer in layers), False]),
    )


@lru_cache(maxsize=16)
def gene_values(space: Space) -> Floats:
    """Returns each choice, or what it stands for, over the gene's largest, [genes, most choices]."""
    table = np.zeros((len(space.genes), int(space.choice_counts.max())))
    for row, gene in enumerate(space.genes):
        amounts = np.array(gene.amounts or gene.choices, dtype=np.float64)
        table[row, : len(amounts)] = amounts / (amounts.max() or 1)
    return table


def _counted(layer: Layer) -> Sequence[float]:
    work = dict.fromkeys(("pointwise", "depthwise", "dense", "vector"), 0)
    for op in layer.ops:
        if op.weights:
            work[_kind_of_work(op)] += op.macs
    block = layer.kind in ("mbconv", "bottleneck")
    return [1, block, len(layer.ops), layer.se, *work.values()]


def _kind_of_work(op: Op) -> str:
    if op.kind == "depthwise":
        return "depthwise"
    if op.in_size_px == 1 or op.kind == "linear":
        return "vector"
    return "pointwise" if op.kernel == 1 else "dense"


def _moved(layer: Layer) -> Sequence[float]:
    return [sum(op.map_elements for op in layer.ops), sum(op.weights for op in layer.ops)]
