"""`hwnas verify`: re-measures what a file's metadata claims; passes or fails."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwnas.cli.options import Json, usable_device
from hwnas.cli.output import print_json, print_table, say
from hwnas.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hwnas.export.accuracy import Batches
    from hwnas.export.verify import ClaimedModel
    from hwnas.profilers import Device

EXAMPLE = "hwnas verify runs/demo-25ms/models/ID/model.onnx"

_BATCH = 50


def verify(
    model: Annotated[Path, typer.Argument(help="An ONNX file that hwnas exported.")],
    device: Annotated[
        str | None,
        typer.Option(
            "--device",
            help="Measure on this device; without it the claimed one, unless that runs a compiled library.",
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", help="Data set for the accuracy; without it the claimed one.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Re-measures what a file's metadata claims; exit code 1 where it does not hold."""
    from hwnas.export.verify import open_claimed, verify_model

    claimed = open_claimed(model)
    result = verify_model(claimed, _device(claimed, device), _batches(claimed, data))
    if as_json:
        print_json(result.to_json())
    else:
        rows = [
            [
                check.what,
                "-" if check.claimed is None else f"{check.claimed:.4g}",
                "-" if check.found is None else f"{check.found:.4g}",
                {True: "passed", False: "FAILED", None: "not checked"}[check.passed],
                check.note,
            ]
            for check in result.checks
        ]
        print_table(["claim", "claimed", "found", "verdict", "note"], rows)
        say("passed" if result.passed else "failed")
    if not result.passed:
        raise typer.Exit(1)


def _device(claimed: "ClaimedModel", name: str | None) -> "Device | None":
    from hwnas.profilers import device_names

    claims = claimed.claims
    if name is None and claims.artefact is not None:
        say(
            f"latency not measured: the claim is of {claims.artefact}, and to load a library is to run its "
            f"code; if you trust it, add --device {claims.device}"
        )
        return None
    chosen = name or claims.device
    if chosen is None:
        return None
    if name is None and chosen not in device_names():
        say(f"latency not measured: the claim is of '{chosen}', a device of a file: add --device FILE.yaml")
        return None
    return usable_device(chosen, claimed.space)


def _batches(claimed: "ClaimedModel", data: str | None) -> "Callable[[str, int], Batches] | None":
    from hwnas.data import get_dataset
    from hwnas.data.batches import batches

    name = data or claimed.claims.dataset
    if name is None:
        return None
    dataset = get_dataset(name)
    classes = claimed.layers[-1].out_channels
    if dataset.num_classes != classes:
        raise InputError(f"data '{name}' has {dataset.num_classes} classes, but the model {classes}")
    return lambda split, size_px: (
        (x.numpy(), y.numpy()) for x, y in batches(dataset.split(split), _BATCH, size_px)
    )
