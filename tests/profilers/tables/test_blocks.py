"""Block mode on a device whose times are known in every part, and on ONNX Runtime."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwnas.errors import InputError
from hwnas.profilers import Device, Fingerprint, Measurement, Meter, Protocol, Store, get_device
from hwnas.profilers.measurement import Kind
from hwnas.profilers.profile import measure_chains
from hwnas.profilers.tables import BlockCost, BlockTable, block_key
from hwnas.profilers.tables.blocks import (
    LEAST_MS,
    BlockPlan,
    Validity,
    block_plan,
    block_table,
    checked_table,
    repeat_noise_percent,
    repeated_rows,
)
from hwnas.profilers.tables.file import read_table, write_table
from hwnas.spaces import Candidates, Layer, Network, Space, get_space, space_of_definition, subject_key

START_MS, ENTRY_MS, EXIT_MS = 0.25, 2e-5, 1e-5

TINY: dict[str, Any] = {
    "name": "tiny-of-blocks",
    "num_classes": 4,
    "image_sizes": [16],
    "stem": {"width": 8},
    "stages": [{"width": 16, "depth": [1, 2], "kernel": [3], "expand": [2], "stride": 2}],
    "head": {"width": 24},
}


class Additive(Device):
    """A device whose chains take a start, an entry and an exit for each number in a map, and their blocks."""

    name = "additive"
    runtime = "arithmetic"
    kind: Kind = "measured"
    bits = (32, 8)

    def unavailable(self) -> str | None:
        return None

    def fingerprint(self) -> Fingerprint:
        return Fingerprint({"device": self.name})

    def refusal(self, layer: Layer) -> str | None:
        return None

    def build(self, network: Network, folder: Path) -> Path:
        raise AssertionError

    def meter(self, protocol: Protocol) -> AbstractContextManager[Meter]:
        raise AssertionError


def block_ms(layer: Layer) -> float:
    bits = layer.weight_bits if layer.quantizable else 32
    return 1e-6 * sum(op.macs for op in layer.ops) * (0.4 if bits == 8 else 1.0) + 0.003


def chain_ms(layers: Sequence[Layer]) -> float:
    first, last = layers[0], layers[-1]
    entry = ENTRY_MS * first.in_channels * first.in_size_px**2
    leave = EXIT_MS * last.out_channels * last.out_size_px**2
    return START_MS + entry + leave + sum(block_ms(layer) for layer in layers)


def measured_as(time_ms: float, subject: str) -> Measurement:
    return Measurement(
        subject=subject,
        device="additive",
        fingerprint="f",
        kind="measured",
        latency_ms=time_ms,
        p95_ms=time_ms,
        ci_low_ms=time_ms,
        ci_high_ms=time_ms,
        samples_ms=(time_ms,),
        time="2026-01-01T00:00:00+00:00",
    )


def measured(plan: BlockPlan) -> dict[str, Measurement]:
    return {subject_key(c): measured_as(chain_ms(c), subject_key(c)) for c in plan.chains}


@pytest.fixture(scope="module")
def space() -> Space:
    return get_space("demo")


def candidates_of(space: Space, n: int, bits: int = 32) -> Candidates:
    return Candidates.of_genomes(space, space.sample_genomes(n, np.random.default_rng(0)), bits, bits)


def times_of(candidates: Candidates) -> np.ndarray:
    return np.array([chain_ms(candidates.layers(row)) for row in range(len(candidates))])


def test_a_plan_has_every_block_once_and_a_pair_for_each_map_between_blocks(space: Space) -> None:
    plan = block_plan(Additive(), space, (32, 8))
    floats = {block_key(layer) for layer in space.vocabulary}
    eights = {block_key(replace(layer, weight_bits=8, activation_bits=8)) for layer in space.vocabulary}
    assert set(plan.alone) == floats | eights
    inside = {
        (b.in_channels, b.in_size_px, 32)
        for row in range(40)
        for b in candidates_of(space, 40).layers(row)[1:]
    }
    found = {(joint.channels, joint.size_px, joint.bits) for joint in plan.joints}
    assert inside <= found
    for joint, (first, second) in plan.joints.items():
        assert (first.out_channels, first.out_size_px) == (joint.channels, joint.size_px)
        assert (second.in_channels, second.in_size_px) == (joint.channels, joint.size_px)
        assert first.name != second.name


@pytest.mark.parametrize("bits", [32, 8])
def test_where_blocks_add_up_sums_are_right_whatever_entry_and_exit_cost(space: Space, bits: int) -> None:
    device = Additive()
    plan = block_plan(device, space, (32, 8))
    table = block_table(device, plan, measured(plan))
    candidates = candidates_of(space, 30, bits)
    checked, found = checked_table(table, candidates, times_of(candidates), noise_percent=0.1)
    assert found.valid
    assert found.mape_percent < 0.1
    assert checked.latency_ms(candidates) == pytest.approx(times_of(candidates), rel=2e-3)
    assert checked.constant is not None
    assert checked.constant.source == "fitted on whole networks"
    assert table.constant is not None
    assert table.constant.latency_ms == pytest.approx(START_MS, rel=0.05)


def test_rows_are_the_blocks_own_times(space: Space) -> None:
    device = Additive()
    plan = block_plan(device, space, (32,))
    table = block_table(device, plan, measured(plan))
    inner = [layer for layer in space.vocabulary if layer.kind == "mbconv"]
    # The half of a saving that a block's own end does not owe is at most half the entry.
    for layer in inner:
        most = (ENTRY_MS - EXIT_MS) / 2 * layer.in_channels * layer.in_size_px**2
        assert table.rows[block_key(layer)].latency_ms == pytest.approx(block_ms(layer), abs=most + 1e-9)
        assert table.rows[block_key(layer)].source == "measured"


def test_a_block_that_takes_no_time_to_speak_of_stays_above_zero(space: Space, tmp_path: Path) -> None:
    device = Additive()
    plan = block_plan(device, space, (32,))
    fast = {key: replace(one, latency_ms=1.0) for key, one in measured(plan).items()}
    table = block_table(device, plan, fast)
    assert min(cost.latency_ms for cost in table.rows.values()) == LEAST_MS
    write_table(tmp_path / "t.csv", table)
    assert read_table(tmp_path / "t.csv").rows == table.rows


def test_blocks_that_the_device_refuses_are_left_out(space: Space) -> None:
    class Narrow(Additive):
        def refusal(self, layer: Layer) -> str | None:
            return "too wide" if layer.mid_channels > 100 else None

    plan = block_plan(Narrow(), space, (32,))
    assert plan.refused
    assert all(layer.mid_channels <= 100 for layer in plan.alone)
    assert all(layer.mid_channels <= 100 for chain in plan.joints.values() for layer in chain)


class TestValidity:
    def test_the_rule_asks_for_rank_and_for_an_error_near_the_noise(self) -> None:
        assert Validity(0.97, 2.0, 1.0, 100).valid
        assert not Validity(0.969, 2.0, 1.0, 100).valid
        assert not Validity(0.99, 2.01, 1.0, 100).valid
        assert not Validity(None, 0.0, 1.0, 100).valid

    def test_its_text_is_one_line_that_says_all(self) -> None:
        assert Validity(0.981, 1.25, 0.9, 120).text == (
            "yes (rho 0.981, at least 0.97; MAPE 1.25 %, at most 2 x the repeat noise of 0.90 %; "
            "120 networks)"
        )
        assert Validity(None, 1.25, 0.9, 3).text.startswith("no (rho -,")

    def test_sums_of_a_device_that_does_not_add_up_are_not_valid(self, space: Space) -> None:
        device = Additive()
        plan = block_plan(device, space, (32,))
        table = block_table(device, plan, measured(plan))
        candidates = candidates_of(space, 40)
        other = times_of(candidates) * np.random.default_rng(1).uniform(0.7, 1.4, 40)
        checked, found = checked_table(table, candidates, other, noise_percent=1.0)
        assert not found.valid
        assert checked.validity == found.text

    def test_too_few_networks_are_refused(self, space: Space) -> None:
        candidates = candidates_of(space, 2)
        with pytest.raises(InputError, match="at least 3 whole networks, but got 2"):
            checked_table(BlockTable("d", {}), candidates, np.ones(2), 1.0)

    def test_a_network_is_predicted_without_its_own_time(self) -> None:
        space = get_space("demo")
        candidates = candidates_of(space, 3)
        zero = BlockTable("d", {block_key(layer): BlockCost(LEAST_MS) for layer in space.vocabulary})
        _, found = checked_table(zero, candidates, np.array([1.0, 1.0, 2.0]), 1.0)
        # 1 is predicted as the median of 1 and 2, twice; 2 as that of 1 and 1.
        assert found.mape_percent == pytest.approx(100 * (0.5 + 0.5 + 0.5) / 3, rel=1e-3)


def test_repeat_noise_is_the_median_of_relative_differences() -> None:
    first, second = np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.2, 30.0])
    assert repeat_noise_percent(first, second) == pytest.approx(100 * 0.2 / 2.1)


def test_networks_to_repeat_reach_from_the_fastest_to_the_slowest() -> None:
    times = np.array([5.0, 1.0, 4.0, 2.0, 3.0])
    assert repeated_rows(times, 3) == [0, 1, 4]
    assert repeated_rows(times) == [0, 1, 2, 3, 4]


def test_a_tables_validity_is_kept_in_its_file_and_shown_by_its_device(tmp_path: Path) -> None:
    row = Layer("conv", 3, 8, 8, 3, activation="relu")
    table = BlockTable("board", {row: BlockCost(1.0)}, validity="no (rho 0.5)")
    path = tmp_path / "t.csv"
    write_table(path, table)
    assert "# valid: no (rho 0.5)\n" in path.read_text()
    assert read_table(path).validity == "no (rho 0.5)"
    assert get_device(f"table:{path}").runtime == "block table of board, valid: no (rho 0.5)"
    write_table(path, replace(table, validity=""))
    assert "valid" not in path.read_text()
    assert read_table(path).validity == ""


def test_blocks_run_alone_on_onnx_runtime_and_are_measured_once(tmp_path: Path) -> None:
    space = space_of_definition(TINY)
    device = get_device("cpu-ort", space)
    fast = Protocol(samples_least=5, samples_most=5, warmup_ms=1.0, sample_ms=0.01)
    plan = block_plan(device, space, (32, 8))
    with Store(tmp_path / "store.sqlite") as store:
        first = measure_chains(device, plan.chains, store, fast)
        assert len(first) == len(plan.chains)
        assert measure_chains(device, plan.chains, store, fast) == first
    table = block_table(device, plan, first)
    assert len(table.rows) == len(plan.alone)
    candidates = candidates_of(space, 3)
    assert (table.latency_ms(candidates) > 0).all()
