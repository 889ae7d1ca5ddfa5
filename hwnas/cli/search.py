"""`hwnas search`: the main road, from a target to files that were measured."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli.options import (
    Data,
    Json,
    Seed,
    StoreFile,
    SupernetFile,
    dataset_for,
    opened_supernet,
    parsed_bits,
    usable_device,
)
from hwnas.cli.output import print_json, print_table, say, showing_progress

if TYPE_CHECKING:
    from hwnas.export.road import RoadResult
    from hwnas.profilers import Device
    from hwnas.progress import Progress
    from hwnas.spaces import Space

EXAMPLE = "hwnas search --target-latency 25ms"

# Both runtimes of this machine; one that is not usable here is left out, and that is said.
_DEFAULT_DEVICES = ("cpu", "cpu-ort")


def search(
    target_latency: Annotated[
        str, typer.Option("--target-latency", help="The p95 of every model stays within it, such as 25ms.")
    ],
    device: Annotated[
        list[str] | None,
        typer.Option(
            "--device", help="A device, or your own FILE.yaml; may be repeated. Without it: cpu and cpu-ort."
        ),
    ] = None,
    supernet: SupernetFile = None,
    data: Data = "digits",
    bits: Annotated[
        str | None, typer.Option("--bits", help="Bitwidths to choose from, such as 32,8; all a device runs.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Run folder; without it runs/SPACE-TARGET. Resumes what it holds."
        ),
    ] = None,
    method: Annotated[str, typer.Option("--method", help="nsga2, or random to compare with.")] = "nsga2",
    samples: Annotated[
        int | None, typer.Option("--samples", min=12, help="Networks measured on each device first.")
    ] = None,
    evaluations: Annotated[
        int | None, typer.Option("--evaluations", min=24, help="Accuracy evaluations, about so many in all.")
    ] = None,
    images: Annotated[
        int | None, typer.Option("--images", min=1, help="Evaluate on so many images; without it on all.")
    ] = None,
    budget: Annotated[
        str | None, typer.Option("--budget", help="Begin no new round after this time, such as 20min.")
    ] = None,
    export: Annotated[
        bool, typer.Option("--export/--no-export", help="Write and measure model files.")
    ] = True,
    store: StoreFile = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Searches models within a latency and exports those on the front; the same command resumes."""
    from hwnas.export.road import Road, settings_for
    from hwnas.units import format_time_ms, parse_time_ms

    target_ms = parse_time_ms(target_latency, "--target-latency")
    settings = settings_for(
        target_latency_ms=target_ms,
        bits=parsed_bits(bits),
        method=method,
        seed=seed,
        samples=samples,
        evaluations=evaluations,
        images=images,
        budget_s=parse_time_ms(budget, "--budget") / 1e3 if budget else None,
    )
    opened = opened_supernet(supernet)
    folder = output or Path("runs") / f"{opened.space.name}-{format_time_ms(target_ms)}"
    with showing_progress() as progress:
        result = Road(
            supernet=opened,
            dataset=dataset_for(data, opened),
            devices=_devices(device, opened.space, progress),
            settings=settings,
            folder=folder,
            store=store,
            export=export,
            progress=progress,
            command=["hwnas", *sys.argv[1:]],
        ).travel()
    if as_json:
        print_json(result.front.to_json() | {"run": str(folder), "report": str(result.report)})
    else:
        _show(result, folder)


def _devices(names: list[str] | None, space: "Space", progress: "Progress") -> "list[Device]":
    """Returns the devices that were asked for, or those of the usual ones that are usable here."""
    from hwnas.errors import InputError, UnavailableError

    if names:
        chosen = [usable_device(name, space) for name in dict.fromkeys(names)]
        shown = [device.name for device in chosen]
        twice = next((name for name in shown if shown.count(name) > 1), None)
        if twice:
            raise InputError(f"--device must give each name once, but two are called '{twice}'; rename one")
        return chosen
    found = []
    for name in _DEFAULT_DEVICES:
        try:
            found.append(usable_device(name, space))
        except UnavailableError as error:
            progress.say(f"going on without {name}: {error}")
    if not found:
        raise UnavailableError(
            f"none of {', '.join(_DEFAULT_DEVICES)} is usable here; `hwnas devices` says what would help"
        )
    return found


def _show(result: "RoadResult", folder: Path) -> None:
    from hwnas.units import format_size_bytes, format_time_ms

    front = result.front
    rows = []
    for member in front.members:
        latency = member.latency_ms[member.deploy_on]
        test = member.accuracy_top1_test
        rows.append(
            [
                member.id,
                member.deploy_on,
                f"{member.accuracy_top1['value']:.2f}",
                f"{test['value']:.2f}" if test else "-",
                format_time_ms(latency["value"]),
                format_time_ms(latency["p95"]),
                latency["kind"],
                format_size_bytes(member.size_bytes),
                _bits_share(member.bits),
            ]
        )
    columns = [
        "model",
        "deploy on",
        "validate %",
        "test %",
        "latency",
        "p95",
        "latency is",
        "weights",
        "8-bit layers",
    ]
    print_table(columns, rows, title=f"front within {format_time_ms(front.target_latency_ms)} (p95)")
    for line in result.remarks:
        say(line)
    say(f"run folder: {folder}; page: {result.report}")
    if front.members and front.members[0].accuracy_top1_test:
        say(f"next: hwnas verify {folder}/models/{front.members[-1].id}/model.onnx")


def _bits_share(bits: Any) -> str:
    weights = bits["weights"]
    return f"{sum(b < 32 for b in weights)}/{len(weights)}"
