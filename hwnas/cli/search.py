"""`hwnas search`: the main road, from a target to files that were measured."""

import re
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
from hwnas.cli.output import print_json, remark, say
from hwnas.cli.search_view import showing_search

if TYPE_CHECKING:
    from hwnas.export.road import RoadResult
    from hwnas.profilers import Device
    from hwnas.progress import Progress
    from hwnas.search.settings import SearchSettings
    from hwnas.spaces import Space

EXAMPLE = "hwnas search --target-latency 25ms"

# Both runtimes of this machine; one that is not usable here is left out, and that is said.
_DEFAULT_DEVICES = ("cpu", "cpu-ort")


def search(
    target_latency: Annotated[
        str | None,
        typer.Option("--target-latency", help="The p95 of every model stays within it, such as 25ms."),
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(
            "--device",
            help="A device, or your own FILE.yaml, or with a target of its own NAME=4ms; may be repeated. "
            "Without it: cpu and cpu-ort.",
        ),
    ] = None,
    supernet: SupernetFile = None,
    data: Data = "digits",
    bits: Annotated[
        str | None, typer.Option("--bits", help="Bitwidths to choose from, such as 32,8; all a device runs.")
    ] = None,
    target_energy: Annotated[
        str | None, typer.Option("--target-energy", help="No model takes more an image, such as 3mJ.")
    ] = None,
    max_size: Annotated[
        str | None, typer.Option("--max-size", help="No model's packed weights are larger, such as 1MB.")
    ] = None,
    max_memory: Annotated[
        str | None, typer.Option("--max-memory", help="No model's live activations are more, such as 256kB.")
    ] = None,
    objectives: Annotated[
        str | None,
        typer.Option(
            "--objectives",
            help="Two to four of accuracy, latency, energy, size, memory, bitops; accuracy,latency.",
        ),
    ] = None,
    soft: Annotated[
        bool, typer.Option("--soft", help="Weigh latency against the target instead of enforcing it.")
    ] = False,
    soft_alpha: Annotated[
        float, typer.Option("--soft-alpha", help="Exponent of latency over target within the target.")
    ] = -0.07,
    soft_beta: Annotated[
        float, typer.Option("--soft-beta", help="Exponent beyond it; 0 and -1 are the hard variant.")
    ] = -0.07,
    accuracy_predictor: Annotated[
        Path | None,
        typer.Option("--accuracy-predictor", help="Search without a supernet: accuracies from this file."),
    ] = None,
    latency_predictor: Annotated[
        list[str] | None,
        typer.Option(
            "--latency-predictor",
            help="Latencies from this file, or FILE=4ms; may be repeated, with the above.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Run folder; without it runs/SPACE-TARGET. Resumes what it holds."
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            "--method",
            help="nsga2, nsga3, exact (additive predictors), regularized, ofa, or random to compare with.",
        ),
    ] = "nsga2",
    additive: Annotated[
        bool,
        typer.Option(
            "--additive", help="Predictors that are sums over layers: tells how near the exact front is."
        ),
    ] = False,
    samples: Annotated[
        int | None, typer.Option("--samples", min=12, help="Networks measured on each device first.")
    ] = None,
    evaluations: Annotated[
        int | None, typer.Option("--evaluations", min=24, help="Accuracy evaluations in all, before export.")
    ] = None,
    images: Annotated[
        int | None, typer.Option("--images", min=1, help="Evaluate on so many images; without it on all.")
    ] = None,
    budget: Annotated[
        str | None, typer.Option("--budget", help="Begin no new round after this time, such as 20min.")
    ] = None,
    epsilon: Annotated[
        float,
        typer.Option("--epsilon", help="End after two rounds that raise the hypervolume by less than this."),
    ] = 0.002,
    export: Annotated[
        bool, typer.Option("--export/--no-export", help="Write and measure model files.")
    ] = True,
    store: StoreFile = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Searches models within limits and exports those on the front; the same command resumes."""
    from hwnas.export.road import settings_for
    from hwnas.search.settings import Soft
    from hwnas.units import parse_energy_mj, parse_size_bytes, parse_time_ms

    named = list(dict.fromkeys(split_target(text, "--device") for text in device or []))
    from_files = [split_target(text, "--latency-predictor") for text in latency_predictor or []]
    knobs: dict[str, Any] = {
        "target_latency_ms": parse_time_ms(target_latency, "--target-latency") if target_latency else None,
        "target_energy_mj": parse_energy_mj(target_energy, "--target-energy") if target_energy else None,
        "max_size_bytes": parse_size_bytes(max_size, "--max-size") if max_size else None,
        "max_memory_bytes": parse_size_bytes(max_memory, "--max-memory") if max_memory else None,
        "objectives": _objectives(objectives),
        "soft": Soft(alpha=soft_alpha, beta=soft_beta) if soft else None,
        "bits": parsed_bits(bits),
        "method": method,
        "additive": additive,
        "seed": seed,
        "samples": samples,
        "evaluations": evaluations,
        "images": images,
        "budget_s": parse_time_ms(budget, "--budget") / 1e3 if budget else None,
        "epsilon": epsilon,
    }
    targets = [target for _, target in (*named, *from_files)]
    _need_a_goal(knobs, targets)
    with showing_search() as (progress, watch):
        if accuracy_predictor or from_files:
            result, folder = _on_predictors(
                accuracy_predictor, from_files, named, knobs, output, progress, given=supernet is not None
            )
        else:
            from hwnas.export.road import Road

            opened = opened_supernet(supernet)
            chosen = _devices([name for name, _ in named], opened.space, progress)
            own = {
                one.name: target
                for one, (_, target) in zip(chosen, named, strict=False)
                if target is not None
            }
            settings = settings_for(**knobs, device_targets_ms=own)
            folder = output or _folder(opened.space.name, settings)
            result = Road(
                supernet=opened,
                dataset=dataset_for(data, opened),
                devices=chosen,
                settings=settings,
                folder=folder,
                store=store,
                export=export,
                progress=progress,
                command=["hwnas", *sys.argv[1:]],
                watch=watch,
            ).travel()
    if as_json:
        print_json(result.front.to_json() | {"run": str(folder), "report": str(result.report)})
    else:
        _show(result, folder)


def split_target(text: str, option: str) -> tuple[str, float | None]:
    """Returns the name and the target in ms of `NAME=4ms`; None where there is no target.

    Raises:
        InputError: a target without a unit, or not above zero.
    """
    from hwnas.units import parse_time_ms

    name, equals, tail = text.rpartition("=")
    # A path may hold the sign: only what begins like a number is a target.
    if (
        not equals
        or not re.match(r"\s*[+-]?\.?\d", tail)
        or tail.endswith((".csv", ".yaml", ".yml", ".json"))
    ):
        return text, None
    return name, parse_time_ms(tail, f"{option} {name}=")


def _objectives(text: str | None) -> tuple[str, ...] | None:
    from hwnas.errors import InputError
    from hwnas.search.settings import OBJECTIVES

    if text is None:
        return None
    names = [part.strip() for part in text.split(",")]
    unknown = [name for name in names if name not in OBJECTIVES]
    if unknown:
        raise InputError(f"--objectives must be of {', '.join(OBJECTIVES)}, but got '{unknown[0]}'")
    return tuple(OBJECTIVES[name] for name in names)


def _need_a_goal(knobs: dict[str, Any], targets: list[float | None]) -> None:
    from hwnas.errors import InputError

    limits = ("target_latency_ms", "target_energy_mj", "max_size_bytes", "max_memory_bytes", "objectives")
    if all(knobs[name] is None for name in limits) and not any(targets):
        raise InputError(
            "a search needs a limit or objectives: give --target-latency 25ms, --target-energy, --max-size, "
            "--max-memory, --device NAME=25ms, or --objectives"
        )


def _on_predictors(
    accuracy: Path | None,
    latencies: list[tuple[str, float | None]],
    named: list[tuple[str, float | None]],
    knobs: dict[str, Any],
    output: Path | None,
    progress: "Progress",
    *,
    given: bool,
) -> "tuple[RoadResult, Path]":
    """Returns what a search without a supernet finds, and its run folder."""
    from hwnas.errors import InputError
    from hwnas.export.predicted_road import PredictedRoad, simulated_only
    from hwnas.export.road import settings_for
    from hwnas.predictors import load_predictor

    if given:
        raise InputError("--accuracy-predictor and --supernet exclude each other; drop one of them")
    if accuracy is None:
        raise InputError("--latency-predictor needs an --accuracy-predictor beside it")
    if not latencies and not named:
        raise InputError(
            "a search on predictors needs --latency-predictor FILE, or a simulated --device such as "
            "table:T.csv"
        )
    predictor = load_predictor(accuracy)
    found = {}
    targets: dict[str, float] = {}
    for path, target in latencies:
        one = load_predictor(Path(path), predictor.space)
        name = one.metric.partition(":")[2] or Path(path).stem
        if name in found:
            raise InputError(f"two latency predictors are called '{name}'; rename a file")
        found[name] = one
        targets |= {name: target} if target is not None else {}
    devices = (
        simulated_only(_devices([name for name, _ in named], predictor.space, progress)) if named else []
    )
    for one_device, (_, target) in zip(devices, named, strict=True):
        targets |= {one_device.name: target} if target is not None else {}
    settings = settings_for(**knobs, device_targets_ms=targets)
    folder = output or _folder(predictor.space.name, settings, "-predicted")
    road = PredictedRoad(
        accuracy=predictor,
        latencies=found,
        devices=devices,
        settings=settings,
        folder=folder,
        progress=progress,
        command=["hwnas", *sys.argv[1:]],
    )
    return road.travel(), folder


def _folder(space: str, settings: "SearchSettings", ending: str = "") -> Path:
    from hwnas.units import format_energy_mj, format_size_bytes, format_time_ms

    targets = dict.fromkeys(settings.device_targets_ms.values())
    parts = [
        format_time_ms(ms) for ms in ([settings.target_latency_ms] if settings.target_latency_ms else targets)
    ]
    parts += [format_energy_mj(settings.target_energy_mj)] if settings.target_energy_mj else []
    parts += [
        format_size_bytes(size) for size in (settings.max_size_bytes, settings.max_memory_bytes) if size
    ]
    return Path("runs") / f"{'-'.join([space, *(parts or ['front'])])}{ending}"


def _devices(names: list[str], space: "Space", progress: "Progress") -> "list[Device]":
    """Returns the devices that were asked for, or those of the usual ones that are usable here."""
    from hwnas.errors import InputError, UnavailableError

    if names:
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is None:
            chosen = [usable_device(name, space) for name in names]
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
    from hwnas.cli.search_view import print_fronts

    print_fronts(result.front)
    for line in result.remarks:
        remark(line)
    say(f"run folder: {folder}; page: {result.report}")
    front = result.front
    if front.members and front.members[0].accuracy_top1_test:
        say(f"next: hwnas verify {folder}/models/{front.members[-1].id}/model.onnx")
