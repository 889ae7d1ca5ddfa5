"""`hwnas fit`: a predictor from measurements made elsewhere."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli.fields import fields_as_options
from hwnas.cli.options import Json, Seed, SpaceName
from hwnas.cli.output import print_json, say
from hwnas.cli.scores import drift_line, show_score

EXAMPLE = "hwnas fit --space ofa-mobilenetv3-w1.0 --metric latency_ms --data phone.csv -o phone.json"


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """The options of `hwnas fit`."""

    data: Annotated[
        Path,
        typer.Option(
            "--data",
            help="CSV with a column `architecture` (JSON) and one column a metric.",
            show_default=False,
        ),
    ]
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The predictor's file to write.", show_default=False)
    ]
    space: SpaceName = "demo"
    metric: Annotated[
        str,
        typer.Option(
            "--metric",
            help="The column: latency_ms, energy_mj, accuracy_top1 (percent), or latency_ms:DEVICE.",
        ),
    ] = "latency_ms"
    model: Annotated[
        str,
        typer.Option(
            "--model", help="auto, physics, linear, gp, xgboost, mlp, encoder, or the name of your own."
        ),
    ] = "auto"
    source: Annotated[
        list[Path] | None,
        typer.Option(
            "--source",
            help="A predictor of the same metric on another device, to transfer from; may be repeated.",
        ),
    ] = None
    shuffled: Annotated[
        bool,
        typer.Option("--shuffled", help="Lines are not in the order of measuring: seek no drift in them."),
    ] = False
    seed: Seed = 0
    as_json: Json = False


@fields_as_options
def fit(asked: FitOptions) -> None:
    """Fits a predictor on a CSV of measurements and scores it on held-out ones."""
    from hwnas.predictors import fit_and_score, load_predictor, read_measurements
    from hwnas.spaces import open_space

    chosen = open_space(asked.space)
    measured = read_measurements(asked.data, chosen, asked.metric)
    fitted = fit_and_score(
        chosen,
        measured.candidates,
        measured.values,
        metric=asked.metric,
        model=asked.model,
        sources=[load_predictor(path, chosen) for path in asked.source or ()],
        in_order=not asked.shuffled,
        seed=asked.seed,
    )
    fitted.predictor.save(asked.output)
    result = {
        "predictor": str(asked.output),
        "space": chosen.name,
        "metric": asked.metric,
        "model": fitted.predictor.model,
        "measurements": len(measured.values),
        "held_out": fitted.score.to_json(),
        "drift": fitted.drift and fitted.drift.to_json(),
    }
    if asked.as_json:
        print_json(result)
        return
    say("held-out measurements, each predicted by a fit that has not seen it:")
    show_score(fitted.score, asked.metric)
    if fitted.drift:
        say(drift_line(fitted.drift))
    say(f"wrote {asked.output}: model '{fitted.predictor.model}' from {len(measured.values)} measurements")
    say(f"next: hwnas score {shlex.quote(str(asked.output))} --data OTHER.csv")
