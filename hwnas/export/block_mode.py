"""The block table of a device as a file: from a model at once, or measured block by block."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import InputError
from hwnas.predictors import fit_and_score
from hwnas.profilers import Device, Measurement, Protocol, Store
from hwnas.profilers.profile import measure_chains, profile
from hwnas.profilers.simulated import SimulatedDevice
from hwnas.profilers.tables import BlockTable
from hwnas.profilers.tables.blocks import (
    Validity,
    block_plan,
    block_table,
    checked_table,
    repeat_noise_percent,
    repeated_rows,
)
from hwnas.profilers.tables.file import write_table
from hwnas.progress import Progress
from hwnas.spaces import Candidates
from hwnas.units import format_time_ms

# What a block takes with the ordinary protocol, building included; for the forecast alone.
_SECONDS_A_CHAIN = 0.15


@dataclass(frozen=True)
class TableCheck:
    """What a measured table is worth, by whole networks.

    Attributes:
        refused: blocks of the space that the device cannot run, which the table lacks.
        sums: whether sums over the table predict networks.
        additive_model: whether an additive model fitted on networks does.
    """

    refused: int
    sums: Validity
    additive_model: Validity

    def to_json(self) -> dict[str, Any]:
        """Returns the fields as a JSON object."""
        return {
            "refused": self.refused,
            "sums": self.sums.to_json(),
            "additive_model": self.additive_model.to_json(),
        }


@dataclass(frozen=True)
class WrittenTable:
    """A block table in a file.

    Attributes:
        check: None for the table of a simulated device, which is exact.
    """

    path: Path
    table: BlockTable
    check: TableCheck | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns where it is, how many blocks it has, and what it is worth, as a JSON object."""
        return {
            "path": str(self.path),
            "blocks": len(self.table.rows),
            "constant_ms": self.table.constant.latency_ms if self.table.constant else 0.0,
        } | (self.check.to_json() if self.check else {})


@dataclass(frozen=True, eq=False)
class Networks:
    """Whole networks that were measured, and what with.

    Attributes:
        candidates: n networks.
        measurements: theirs, in order.
    """

    device: Device
    candidates: Candidates
    measurements: Sequence[Measurement]
    store: Store
    protocol: Protocol
    progress: Progress

    @property
    def latency_ms(self) -> NDArray[np.float64]:
        """The latencies of the networks [n]."""
        return np.array([one.latency_ms for one in self.measurements])

    def noise_percent(self) -> float:
        """Measures some of the networks once more; returns how far that lies from the first time."""
        first_ms = self.latency_ms
        rows = repeated_rows(first_ms)
        self.progress.say(f"measuring {len(rows)} of the networks once more, for the repeat noise")
        some = self.candidates[rows]
        second = profile(self.device, some, self.store, self.protocol, self.progress, again=True)
        return repeat_noise_percent(first_ms[rows], np.array([one.latency_ms for one in second]))


def write_block_table(
    path: Path,
    networks: Networks,
    bits: Sequence[int],
    *,
    again: bool = False,
    budget_s: float | None = None,
    seed: int = 0,
) -> WrittenTable:
    """Writes the block table of a device for the space of some networks.

    A device that is a table or a model has it at once. On a real one every block is measured alone,
    and the sums are compared with the whole networks.

    Args:
        path: the CSV file.
        networks: measured on the device.
        bits: bitwidths of blocks to measure.
        again: measures all blocks, known or not.
        budget_s: no new group of blocks is begun after this time.
        seed: of the additive model that the sums are compared with.

    Raises:
        InputError: the budget ended before all blocks were measured; what was is in the store.
    """
    device, space = networks.device, networks.candidates.space
    if isinstance(device, SimulatedDevice):
        written = WrittenTable(path, device.table(space))
        write_table(path, written.table)
        return written
    plan = block_plan(device, space, bits)
    networks.progress.say(
        f"block mode: {len(plan.alone)} blocks alone and {len(plan.joints)} pairs, about "
        f"{format_time_ms(1e3 * _SECONDS_A_CHAIN * len(plan.chains))} for those that the store does not know"
    )
    measured = measure_chains(
        device,
        plan.chains,
        networks.store,
        replace(networks.protocol, energy=None),
        networks.progress,
        again=again,
        budget_s=budget_s,
    )
    if len(measured) < len(plan.chains):
        raise InputError(
            f"--budget ended with {len(measured)} of {len(plan.chains)} blocks and pairs measured, so "
            f"{path} is not written; repeat the command to go on"
        )
    table, check = _checked(block_table(device, plan, measured), len(plan.refused), networks, seed)
    write_table(path, table)
    return WrittenTable(path, table, check)


def _checked(table: BlockTable, refused: int, networks: Networks, seed: int) -> tuple[BlockTable, TableCheck]:
    """The table with its constant, and how well its sums and an additive model predict the networks."""
    candidates, measured_ms = networks.candidates, networks.latency_ms
    noise_percent = networks.noise_percent()
    table, sums = checked_table(table, candidates, measured_ms, noise_percent)
    score = fit_and_score(candidates.space, candidates, measured_ms, model="linear", seed=seed).score
    assert score.mape_percent is not None, "no latency is zero"
    additive = Validity(score.spearman, score.mape_percent, noise_percent, score.n)
    return table, TableCheck(refused, sums, additive)
