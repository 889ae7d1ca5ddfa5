"""Block tables of `hwnas profile`: one taken in is checked, one asked for is measured and written."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.cli.output import print_table, say
from hwnas.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hwnas.cli.profile_request import Request
    from hwnas.profilers import Device, Measurement, Protocol, Store
    from hwnas.profilers.tables import BlockTable
    from hwnas.progress import Progress
    from hwnas.spaces import Candidates, Space

# What a block takes with the ordinary protocol, building included; for the forecast alone.
_SECONDS_A_CHAIN = 0.15


def check_table(path: Path, space: "Space") -> None:
    """Says what a block table has and lacks for a space.

    Raises:
        InputError: the file is no valid table.
    """
    from hwnas.profilers.simulated import table_device
    from hwnas.profilers.tables.file import read_table
    from hwnas.profilers.tables.missing import missing_blocks

    table, pairs = read_table(path), table_device(path).bit_pairs
    missing = missing_blocks(table, space, pairs)
    validity = table.validity
    held = ", ".join(str(w) if w == a else f"w{w}a{a}" for w, a in pairs)
    say(
        f"{path}: bits {held}; it misses {len(missing)} blocks of {space.name}; "
        + (f"sums valid: {validity}; " if validity else "")
        + f"use it with --device table:{path}"
    )


def list_missing(
    device: "Device", space: "Space", bits: tuple[int, ...], path: Path, as_json: bool = False
) -> None:
    """Writes the blocks of a space that a device's table lacks, to be measured, and says how many.

    Args:
        bits: at each of these alike too; () for the pairs that the table holds.

    Raises:
        InputError: a device whose costs do not come from a table.
    """
    from hwnas.cli.output import print_json
    from hwnas.profilers.cost_models import TableModel
    from hwnas.profilers.simulated import SimulatedDevice
    from hwnas.profilers.tables.missing import missing_blocks, write_missing
    from hwnas.spaces import alike
    from hwnas.spaces.layer import describe

    if not isinstance(device, SimulatedDevice) or not isinstance(device.model, TableModel):
        raise InputError(
            f"--missing is about block tables, but '{device.name}' has none; give --device table:FILE.csv"
        )
    held = [pair for pair in device.bit_pairs if not bits or set(pair) <= set(bits)]
    missing = missing_blocks(device.model.held, space, tuple(dict.fromkeys([*held, *alike(bits)])))
    write_missing(path, device.model.held, missing)
    if as_json:
        rows = [{"block": describe(one.layer), "share_of_architectures": one.share} for one in missing]
        print_json({"path": str(path), "missing": len(missing), "blocks": rows})
        return
    say(f"{path}: {len(missing)} blocks of {space.name} that {device.name} lacks")
    for one in missing[:5]:
        say(f"  {describe(one.layer)}: in {100 * one.share:.1f} % of the architectures")
    if missing:
        say("fill in latency_ms, then add these rows to the table")


@dataclass(frozen=True)
class Measured:
    """Whole networks that were measured, and what with.

    Attributes:
        candidates: n networks.
        taken: their measurements, in order.
    """

    device: "Device"
    candidates: "Candidates"
    taken: "list[Measurement]"
    store: "Store"
    protocol: "Protocol"
    progress: "Progress"

    @property
    def latency_ms(self) -> "NDArray[np.float64]":
        """The latencies of the networks [n]."""
        import numpy as np

        return np.array([one.latency_ms for one in self.taken])


def block_table_of(networks: Measured, request: "Request") -> dict[str, Any]:
    """Writes the block table of a device to `request.table_out`; returns what there is to say of it.

    A device that is a table or a model has it at once. On a real one every block is measured alone,
    and the sums are compared with the whole networks.

    Raises:
        InputError: the budget ended before all blocks were measured; what was is in the store.
    """
    from hwnas.profilers.simulated import SimulatedDevice
    from hwnas.profilers.tables.file import write_table

    device, path = networks.device, request.table_out
    assert path is not None
    if isinstance(device, SimulatedDevice):
        table = device.table(networks.candidates.space)
        figures: dict[str, Any] = {}
    else:
        table, figures = _measured(networks, request)
    write_table(path, table)
    return {
        "path": str(path),
        "blocks": len(table.rows),
        "constant_ms": table.constant.latency_ms if table.constant else 0.0,
    } | figures


def _measured(networks: Measured, request: "Request") -> "tuple[BlockTable, dict[str, Any]]":
    """The table measured block by block, and how well sums and a fitted additive model predict networks."""
    from hwnas.predictors import fit_and_score
    from hwnas.profilers.profile import measure_chains
    from hwnas.profilers.tables.blocks import Validity, block_plan, block_table, checked_table

    device, candidates, measured_ms = networks.device, networks.candidates, networks.latency_ms
    plan = block_plan(device, candidates.space, request.bits)
    networks.progress.say(
        f"block mode: {len(plan.alone)} blocks alone and {len(plan.joints)} pairs, about "
        f"{_forecast(len(plan.chains))} for those that the store does not know"
    )
    measured = measure_chains(
        device,
        plan.chains,
        networks.store,
        replace(networks.protocol, energy=None),
        networks.progress,
        again=request.again,
        budget_s=request.budget_s,
    )
    if len(measured) < len(plan.chains):
        raise InputError(
            f"--budget ended with {len(measured)} of {len(plan.chains)} blocks and pairs measured, so "
            f"{request.table_out} is not written; repeat the command to go on"
        )
    noise_percent = _noise_percent(networks)
    table, sums = checked_table(block_table(device, plan, measured), candidates, measured_ms, noise_percent)
    score = fit_and_score(candidates.space, candidates, measured_ms, model="linear", seed=request.seed).score
    assert score.mape_percent is not None, "no latency is zero"
    additive = Validity(score.spearman, score.mape_percent, noise_percent, score.n)
    return table, {
        "refused": len(plan.refused),
        "sums": sums.to_json(),
        "additive_model": additive.to_json(),
    }


def show_table(found: dict[str, Any], device: str) -> None:
    """Prints where the table is, and whether sums over a measured one may be relied on."""
    if "sums" in found:
        rows = [
            _row("sums over the table", found["sums"]),
            _row("additive model fitted on networks", found["additive_model"]),
        ]
        columns = ["block-linear", "rho", "MAPE %", "repeat noise %", "networks", "valid"]
        print_table(columns, rows, title="do blocks add up on this device?")
    say(
        f"{found['path']}: {found['blocks']} blocks and {1e3 * found['constant_ms']:.1f} us for every network"
    )
    if "sums" in found and not found["sums"]["valid"]:
        other = (
            "the additive model (hwnas fit --model linear) or " if found["additive_model"]["valid"] else ""
        )
        say(
            f"blocks do not add up on {device}: the table says so in its header; rely on {other}the learned "
            "predictor, which search and predict use"
        )


def _row(title: str, one: dict[str, Any]) -> list[object]:
    rho = "-" if one["rho"] is None else f"{one['rho']:.3f}"
    figures = [f"{one['mape_percent']:.2f}", f"{one['repeat_noise_percent']:.2f}", one["n"]]
    return [title, rho, *figures, "yes" if one["valid"] else "no"]


def _forecast(num_chains: int) -> str:
    from hwnas.units import format_time_ms

    return format_time_ms(1e3 * _SECONDS_A_CHAIN * num_chains)


def _noise_percent(networks: Measured) -> float:
    """How far a second measurement of some of the networks lies from the first."""
    import numpy as np

    from hwnas.profilers.profile import profile
    from hwnas.profilers.tables.blocks import repeat_noise_percent, repeated_rows

    first_ms = networks.latency_ms
    rows = repeated_rows(first_ms)
    networks.progress.say(f"measuring {len(rows)} of the networks once more, for the repeat noise")
    some = networks.candidates[rows]
    second = profile(networks.device, some, networks.store, networks.protocol, networks.progress, again=True)
    return repeat_noise_percent(first_ms[rows], np.array([one.latency_ms for one in second]))
