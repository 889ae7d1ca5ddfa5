"""What a block table lacks for a space, and the list of it to measure and fill in."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hwnas.files import write_text
from hwnas.profilers.tables.file import row_text, table_text
from hwnas.profilers.tables.table import BlockTable, block_key
from hwnas.spaces import FLOAT_BITS, Architecture, Layer, Pair, Space
from hwnas.spaces.layer import describe

# Enough to tell a block that half the space needs from one that a few networks do.
_SAMPLED = 2000


@dataclass(frozen=True)
class Missing:
    """A block that a table lacks.

    Attributes:
        layer: its key, bits included.
        share: of random architectures that hold it; 0.0 where it is rarer than they show.
        example: an architecture that holds it.
    """

    layer: Layer
    share: float
    example: Architecture


def missing_blocks(table: BlockTable, space: Space, pairs: Sequence[Pair]) -> list[Missing]:
    """Returns every block of a space that a table lacks at any pair of bits, the most needed first.

    Args:
        table: what is known.
        space: whose whole vocabulary is looked up.
        pairs: weight and activation bits.
    """
    shares, examples = _needed_by(space)
    found: dict[Layer, Missing] = {}
    for index, layer in enumerate(space.vocabulary):
        for weights, activations in pairs if layer.quantizable else ((FLOAT_BITS, FLOAT_BITS),):
            key = block_key(replace(layer, weight_bits=weights, activation_bits=activations))
            if table.cost(key) is None and key not in found:
                found[key] = Missing(key, float(shares[index]), examples[index])
    return sorted(found.values(), key=lambda one: -one.share)


def write_missing(path: Path, table: BlockTable, missing: Sequence[Missing]) -> None:
    """Writes a block table CSV with a row for each, to be filled in: no latency, no energy, no source.

    A comment above each row says who needs it. Once its latencies are there, its rows go into the table's
    own file.
    """
    text = table_text(BlockTable(table.device, {}, None, table.batch, table.clock_mhz))
    for one in missing:
        share = f"{100 * one.share:.1f} %" if one.share else f"under {100 / _SAMPLED:g} %"
        example = json.dumps(one.example.to_json(), separators=(",", ":"))
        text += f"# {describe(one.layer)}: needed by {share} of the architectures, such as {example}\n"
        text += row_text(one.layer)
    write_text(path, text)


def _needed_by(space: Space) -> tuple[np.ndarray, list[Architecture]]:
    """For each layer of the vocabulary, the share of random architectures with it, and one with it."""
    covering = space.covering()
    sampled = space.layer_ids(space.sample_genomes(_SAMPLED, np.random.default_rng(0)))
    held = np.zeros(len(space.vocabulary) + 1, dtype=np.int64)  # the last is that of empty slots
    for row in sampled:
        held[np.unique(row)] += 1
    first: dict[int, Architecture] = {}
    for architecture, ids in zip(covering, space.layer_ids(space.genomes(covering)).tolist(), strict=True):
        for layer_id in ids:
            first.setdefault(layer_id, architecture)
    return held[:-1] / _SAMPLED, [first[index] for index in range(len(space.vocabulary))]
