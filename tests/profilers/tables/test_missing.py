"""What a table lacks: every block that candidates need, with who needs it, in a file to fill in."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hwnas.profilers import get_device
from hwnas.profilers.simulated import SimulatedDevice
from hwnas.profilers.tables import BlockTable, block_key
from hwnas.profilers.tables.file import read_table, write_table
from hwnas.profilers.tables.missing import missing_blocks, write_missing
from hwnas.spaces import Candidates, get_space

SPACE = get_space("demo")
PAIRS = ((8, 8), (4, 8))


@pytest.fixture(scope="module")
def whole() -> BlockTable:
    device = get_device("bitfusion")
    assert isinstance(device, SimulatedDevice)
    return device.table(SPACE)


def without(table: BlockTable, every: int) -> BlockTable:
    rows = dict(list(table.rows.items()))
    kept = {layer: cost for n, (layer, cost) in enumerate(rows.items()) if n % every}
    return replace(table, rows=kept)


def test_a_whole_table_lacks_nothing_at_its_pairs_and_everything_at_others(whole: BlockTable) -> None:
    assert missing_blocks(whole, SPACE, PAIRS) == []
    weighted = sum(layer.quantizable for layer in SPACE.vocabulary)
    assert len(missing_blocks(whole, SPACE, ((2, 8),))) == weighted


def test_exactly_the_candidates_that_need_a_listed_block_are_refused(whole: BlockTable) -> None:
    poor = without(whole, 7)
    missing = {one.layer for one in missing_blocks(poor, SPACE, PAIRS)}
    rng = np.random.default_rng(0)
    weights = rng.choice([4, 8], size=(60, len(SPACE.slots)))
    candidates = Candidates.of_genomes(SPACE, SPACE.sample_genomes(60, rng), weights, 8)
    for row in range(len(candidates)):
        needs = missing & {block_key(layer) for layer in candidates.layers(row)}
        assert set(poor.missing(candidates[[row]])) == needs


def test_shares_and_examples_are_true(whole: BlockTable) -> None:
    missing = missing_blocks(without(whole, 5), SPACE, PAIRS)
    assert [one.share for one in missing] == sorted((one.share for one in missing), reverse=True)
    fresh = Candidates.of_genomes(SPACE, SPACE.sample_genomes(3000, np.random.default_rng(9)))
    for one in missing[:: len(missing) // 6]:
        plain = replace(one.layer, weight_bits=32, activation_bits=32)
        ids = [n for n, layer in enumerate(SPACE.vocabulary) if block_key(layer) == plain]
        assert np.isin(fresh.layer_ids, ids).any(axis=1).mean() == pytest.approx(one.share, abs=0.05)
        held = [block_key(replace(layer, name="")) for layer in SPACE.layers(one.example)]
        assert plain in held


def test_the_list_filled_in_completes_the_table(whole: BlockTable, tmp_path: Path) -> None:
    poor, path = without(whole, 4), tmp_path / "table.csv"
    write_table(path, poor)
    write_missing(tmp_path / "list.csv", poor, missing_blocks(poor, SPACE, PAIRS))
    text = (tmp_path / "list.csv").read_text()
    assert re.search(r'^# mbconv .*: needed by \d+\.\d % of .*, such as \{"space":"demo"', text, re.MULTILINE)
    rows = [line for line in text.splitlines() if not line.startswith(("#", "kind"))]
    assert all(line.endswith(",,,") for line in rows)
    path.write_text(path.read_text() + "".join(line[:-3] + ",0.5,,mine\n" for line in rows))
    assert missing_blocks(read_table(path), SPACE, PAIRS) == []
