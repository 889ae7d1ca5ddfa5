"""`hwnas profile`: measures a device, fits its latency predictor, and says how good it is."""

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli.options import DeviceName, Json, Seed, SpaceName, StoreFile, usable_device
from hwnas.cli.output import print_json, showing_progress

EXAMPLE = "hwnas profile --device cpu-ort --space demo --samples 60"


def profile(
    device: DeviceName,
    space: SpaceName = "demo",
    samples: Annotated[int, typer.Option("--samples", min=3, help="Networks to measure.")] = 80,
    budget: Annotated[
        str | None, typer.Option("--budget", help="Begin no new group after this time, such as 10min.")
    ] = None,
    bits: Annotated[
        str | None, typer.Option("--bits", help="Bitwidths to draw from, such as 32,8; all it runs.")
    ] = None,
    energy: Annotated[
        str | None,
        typer.Option(
            "--energy", help="Also take energies: measured, by a meter of this machine, or modelled."
        ),
    ] = None,
    tune_budget: Annotated[
        str | None,
        typer.Option(
            "--tune-budget", help="First tune kernels for this processor for so long (TVM devices)."
        ),
    ] = None,
    schedules: Annotated[
        Path | None,
        typer.Option("--schedules", help="First take in a schedule pack that somebody shares."),
    ] = None,
    schedules_out: Annotated[
        Path | None,
        typer.Option("--schedules-out", help="Write the schedule pack in use, to share it."),
    ] = None,
    table_out: Annotated[
        Path | None,
        typer.Option(
            "--table-out", help="Write the block table; a real device measures every block alone for it."
        ),
    ] = None,
    table_in: Annotated[
        Path | None,
        typer.Option("--import", help="Check a block table; then use it as --device table:FILE."),
    ] = None,
    missing: Annotated[
        Path | None,
        typer.Option("--missing", help="Only write the blocks that a block table lacks, to be measured."),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Measure anew what the store knows.")] = False,
    store: StoreFile = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Measures, stores, fits and scores the device's latency predictor; says where the time goes."""
    from hwnas.cli.options import parsed_bits
    from hwnas.cli.profile_request import Request
    from hwnas.cli.profile_run import run
    from hwnas.cli.profile_show import show
    from hwnas.cli.profile_table import check_table, list_missing
    from hwnas.cli.profile_tuning import hand_out_schedules, take_schedules, tune
    from hwnas.spaces import open_space
    from hwnas.units import parse_time_ms

    chosen = open_space(space)
    if missing:
        list_missing(usable_device(device, chosen), chosen, parsed_bits(bits), missing, as_json)
        return
    tune_s = parse_time_ms(tune_budget, "--tune-budget") / 1e3 if tune_budget else None
    request = Request(
        device=device,
        space=space,
        samples=samples,
        bits=parsed_bits(bits),
        budget_s=parse_time_ms(budget, "--budget") / 1e3 if budget else None,
        energy=energy,
        table_out=table_out,
        store=store,
        again=again,
        seed=seed,
    )
    with showing_progress() as progress:
        if schedules:
            take_schedules(schedules, device, chosen, progress)
        if tune_s is not None:
            tune(device, chosen, tune_s, progress)
        if schedules_out:
            hand_out_schedules(schedules_out, device, chosen, progress)
        if table_in:
            check_table(table_in, chosen)
        result = run(request, usable_device(device, chosen), chosen, progress)
    if as_json:
        print_json(result)
    else:
        show(result)
