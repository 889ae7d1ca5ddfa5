"""Block tables of `hwnas profile`: one taken in is checked, what one lacks is listed, one made is shown."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.cli.output import print_json, print_table, say
from hwnas.errors import InputError

if TYPE_CHECKING:
    from hwnas.profilers import Device
    from hwnas.spaces import Space


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
