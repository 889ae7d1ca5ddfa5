"""`hwnas profile`: measures a device, fits its latency predictor, and says how good it is."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwnas.cli.fields import fields_as_options
from hwnas.cli.options import (
    DeviceName,
    Json,
    Seed,
    SpaceName,
    StoreFile,
    parsed_bits,
    parsed_seconds,
    usable_device,
)
from hwnas.cli.output import print_json, showing_progress
from hwnas.cli.profile_table import check_table, list_missing
from hwnas.cli.profile_tuning import hand_out_schedules, take_schedules, tune

if TYPE_CHECKING:
    from hwnas.export.profiling import ProfileSettings

EXAMPLE = "hwnas profile --device cpu-ort --space demo --samples 60"


@dataclass(frozen=True, kw_only=True)
class ProfileOptions:
    """The options of `hwnas profile`."""

    device: DeviceName
    space: SpaceName = "demo"
    samples: Annotated[int, typer.Option("--samples", min=3, help="Networks to measure.")] = 80
    budget: Annotated[
        str | None, typer.Option("--budget", help="Begin no new group after this time, such as 10min.")
    ] = None
    bits: Annotated[
        str | None,
        typer.Option(
            "--bits", help="Bitwidths to draw from, such as 32,8; without it all that the device runs."
        ),
    ] = None
    energy: Annotated[
        str | None,
        typer.Option(
            "--energy", help="Also take energies: measured, by a meter of this machine, or modelled."
        ),
    ] = None
    tune_budget: Annotated[
        str | None,
        typer.Option(
            "--tune-budget", help="First tune kernels for this processor for so long (TVM devices)."
        ),
    ] = None
    schedules: Annotated[
        Path | None,
        typer.Option("--schedules", help="First take in a schedule pack that somebody shares."),
    ] = None
    schedules_out: Annotated[
        Path | None,
        typer.Option("--schedules-out", help="Write the schedule pack in use, to share it."),
    ] = None
    table_out: Annotated[
        Path | None,
        typer.Option(
            "--table-out", help="Write the block table; a real device measures every block alone for it."
        ),
    ] = None
    table_in: Annotated[
        Path | None,
        typer.Option("--import", help="Check a block table; then use it as --device table:FILE."),
    ] = None
    missing: Annotated[
        Path | None,
        typer.Option("--missing", help="Only write the blocks that a block table lacks, to be measured."),
    ] = None
    again: Annotated[bool, typer.Option("--again", help="Measure anew what the store knows.")] = False
    store: StoreFile = None
    seed: Seed = 0
    as_json: Json = False

    def settings(self) -> "ProfileSettings":
        """Returns what to measure.

        Raises:
            InputError: a text without its unit, or that is no such figure.
        """
        from hwnas.export.profiling import ProfileSettings

        return ProfileSettings(
            samples=self.samples,
            bits=parsed_bits(self.bits),
            budget_s=parsed_seconds(self.budget, "--budget"),
            energy=self.energy,
            table_out=self.table_out,
            again=self.again,
            seed=self.seed,
        )


@fields_as_options
def profile(asked: ProfileOptions) -> None:
    """Measures, stores, fits and scores the device's latency predictor; says where the time goes."""
    from hwnas.cli.profile_show import result_of, show
    from hwnas.export.profiling import profile_device
    from hwnas.spaces import open_space

    device, space = asked.device, open_space(asked.space)
    if asked.missing:
        list_missing(
            usable_device(device, space), space, parsed_bits(asked.bits), asked.missing, asked.as_json
        )
        return
    tune_s = parsed_seconds(asked.tune_budget, "--tune-budget")
    settings = asked.settings()
    with showing_progress() as progress:
        if asked.schedules:
            take_schedules(asked.schedules, device, space, progress)
        if tune_s is not None:
            tune(device, space, tune_s, progress)
        if asked.schedules_out:
            hand_out_schedules(asked.schedules_out, device, space, progress)
        if asked.table_in:
            check_table(asked.table_in, space)
        found = profile_device(
            usable_device(device, space), space, settings, store=asked.store, progress=progress
        )
        result = result_of(found, device=device, space=asked.space, store=asked.store)
    if asked.as_json:
        print_json(result)
    else:
        show(result)
