"""`hwnas search`: the main road, from a target to files that were measured."""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli.fields import fields_as_options
from hwnas.cli.options import (
    Data,
    Json,
    Seed,
    StoreFile,
    dataset_for,
    opened_supernet,
    parsed_bits,
    parsed_seconds,
)
from hwnas.cli.output import print_json, remark, say
from hwnas.cli.search_predicted import search_on_predictors
from hwnas.cli.search_values import Named, chosen_devices, objectives, split_target, usual_folder
from hwnas.cli.search_view import print_fronts, showing_search
from hwnas.errors import InputError
from hwnas.units import parse_energy_mj, parse_size_bytes, parse_time_ms

if TYPE_CHECKING:
    from hwnas.export.road import RoadResult
    from hwnas.progress import Progress
    from hwnas.search.account import Watch

EXAMPLE = "hwnas search --target-latency 25ms"


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """The options of `hwnas search`."""

    target_latency: Annotated[
        str | None,
        typer.Option("--target-latency", help="The p95 of every model stays within it, such as 25ms."),
    ] = None
    device: Annotated[
        list[str] | None,
        typer.Option(
            "--device",
            help="A device, or your own FILE.yaml, or with a target of its own NAME=4ms; may be repeated. "
            "Without it: cpu and cpu-ort.",
        ),
    ] = None
    supernet: Annotated[
        Path | None,
        typer.Option(
            "--supernet",
            help="A trained supernet (.safetensors), whose space is searched; without it the demo supernet.",
        ),
    ] = None
    data: Data = "digits"
    bits: Annotated[
        str | None,
        typer.Option(
            "--bits", help="Bitwidths to choose from, such as 32,8; without it all that a device runs."
        ),
    ] = None
    target_energy: Annotated[
        str | None, typer.Option("--target-energy", help="No model takes more energy an image, such as 3mJ.")
    ] = None
    max_size: Annotated[
        str | None, typer.Option("--max-size", help="No model's packed weights are larger, such as 1MB.")
    ] = None
    max_memory: Annotated[
        str | None, typer.Option("--max-memory", help="No model's live activations are more, such as 256kB.")
    ] = None
    objectives: Annotated[
        str | None,
        typer.Option(
            "--objectives",
            help="Two to four of accuracy, latency, energy, size, memory, bitops; without it the first two.",
        ),
    ] = None
    soft: Annotated[
        bool, typer.Option("--soft", help="Weigh latency against the target instead of enforcing it.")
    ] = False
    soft_alpha: Annotated[
        float, typer.Option("--soft-alpha", help="Exponent of latency over target within the target.")
    ] = -0.07
    soft_beta: Annotated[
        float,
        typer.Option(
            "--soft-beta", help="Exponent beyond the target; alpha 0 and beta -1 are the hard variant."
        ),
    ] = -0.07
    accuracy_predictor: Annotated[
        Path | None,
        typer.Option("--accuracy-predictor", help="Search without a supernet: accuracies from this file."),
    ] = None
    latency_predictor: Annotated[
        list[str] | None,
        typer.Option(
            "--latency-predictor",
            help="With the above: latencies from this file, or with a target FILE=4ms; may be repeated.",
        ),
    ] = None
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Run folder; without it runs/SPACE-TARGET. Resumes what it holds."
        ),
    ] = None
    method: Annotated[
        str,
        typer.Option(
            "--method",
            help="nsga2, nsga3, exact (additive predictors), regularized, ofa, or random to compare with.",
        ),
    ] = "nsga2"
    additive: Annotated[
        bool,
        typer.Option(
            "--additive", help="Predictors that are sums over layers: tells how near the exact front is."
        ),
    ] = False
    samples: Annotated[
        int | None, typer.Option("--samples", min=12, help="Networks measured on each device first.")
    ] = None
    evaluations: Annotated[
        int | None, typer.Option("--evaluations", min=24, help="Accuracy evaluations in all, before export.")
    ] = None
    images: Annotated[
        int | None, typer.Option("--images", min=1, help="Evaluate on so many images; without it on all.")
    ] = None
    budget: Annotated[
        str | None, typer.Option("--budget", help="Begin no new round after this time, such as 20min.")
    ] = None
    epsilon: Annotated[
        float,
        typer.Option("--epsilon", help="End after two rounds that raise the hypervolume by less than this."),
    ] = 0.002
    export: Annotated[bool, typer.Option("--export/--no-export", help="Write and measure model files.")] = (
        True
    )
    store: StoreFile = None
    seed: Seed = 0
    as_json: Json = False

    def knobs(self) -> dict[str, Any]:
        """Returns the fields of `SearchSettings` that are asked for; None where nothing is.

        Raises:
            InputError: a text without its unit, or that is no such figure.
        """
        from hwnas.search.settings import Soft

        latency, energy = self.target_latency, self.target_energy
        size, memory = self.max_size, self.max_memory
        return {
            "target_latency_ms": parse_time_ms(latency, "--target-latency") if latency else None,
            "target_energy_mj": parse_energy_mj(energy, "--target-energy") if energy else None,
            "max_size_bytes": parse_size_bytes(size, "--max-size") if size else None,
            "max_memory_bytes": parse_size_bytes(memory, "--max-memory") if memory else None,
            "objectives": objectives(self.objectives),
            "soft": Soft(alpha=self.soft_alpha, beta=self.soft_beta) if self.soft else None,
            "bits": parsed_bits(self.bits),
            "method": self.method,
            "additive": self.additive,
            "seed": self.seed,
            "samples": self.samples,
            "evaluations": self.evaluations,
            "images": self.images,
            "budget_s": parsed_seconds(self.budget, "--budget"),
            "epsilon": self.epsilon,
        }


@fields_as_options
def search(asked: SearchOptions) -> None:
    """Searches models within limits and exports those on the front; the same command resumes."""
    named = list(dict.fromkeys(split_target(text, "--device") for text in asked.device or []))
    from_files = [split_target(text, "--latency-predictor") for text in asked.latency_predictor or []]
    knobs = asked.knobs()
    _need_a_goal(knobs, [target for _, target in (*named, *from_files)])
    with showing_search() as (progress, watch):
        if asked.accuracy_predictor or from_files:
            result, folder = search_on_predictors(
                asked.accuracy_predictor,
                from_files,
                named,
                knobs,
                asked.output,
                progress,
                has_supernet=asked.supernet is not None,
            )
        else:
            result, folder = _search(asked, named, knobs, progress, watch)
    if asked.as_json:
        print_json(result.front.to_json() | {"run": str(folder), "report": str(result.report)})
    else:
        _show(result, folder)


def _search(
    asked: SearchOptions,
    named: list[Named],
    knobs: dict[str, Any],
    progress: "Progress",
    watch: "Watch | None",
) -> "tuple[RoadResult, Path]":
    """Travels the main road; returns what it ends with, and its run folder."""
    from hwnas.export.road import Road
    from hwnas.search.settings import SearchSettings

    opened = opened_supernet(asked.supernet)
    devices = chosen_devices([name for name, _ in named], opened.space, progress)
    own = {one.name: target for one, (_, target) in zip(devices, named, strict=False) if target is not None}
    settings = SearchSettings.of(**knobs, device_targets_ms=own)
    folder = asked.output or usual_folder(opened.space.name, settings)
    road = Road(
        supernet=opened,
        dataset=dataset_for(asked.data, opened),
        devices=devices,
        settings=settings,
        folder=folder,
        store=asked.store,
        export=asked.export,
        progress=progress,
        command=["hwnas", *sys.argv[1:]],
        supernet_file=asked.supernet,
        watch=watch,
    )
    return road.travel(), folder


def _need_a_goal(knobs: dict[str, Any], targets: list[float | None]) -> None:
    limits = ("target_latency_ms", "target_energy_mj", "max_size_bytes", "max_memory_bytes", "objectives")
    if all(knobs[name] is None for name in limits) and not any(targets):
        raise InputError(
            "a search needs a limit or objectives: give --target-latency 25ms, --target-energy, --max-size, "
            "--max-memory, --device NAME=25ms, or --objectives"
        )


def _show(result: "RoadResult", folder: Path) -> None:
    print_fronts(result.front)
    for line in result.remarks:
        remark(line)
    say(f"run folder: {folder}; page: {result.report}")
    front = result.front
    if front.members and front.members[0].accuracy_top1_test:
        model = folder / "models" / front.members[-1].id / "model.onnx"
        say(f"next: hwnas verify {shlex.quote(str(model))}")
