"""`hwnas score`: how good a predictor is on measurements it may not have seen."""

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli.options import Json
from hwnas.cli.output import print_json, say
from hwnas.cli.scores import column_for, drift_line, show_score

EXAMPLE = "hwnas score phone.json --data other-measurements.csv --plot phone.svg"


def score(
    predictor: Annotated[
        Path,
        typer.Argument(help="A predictor that `hwnas fit` or `hwnas profile` wrote.", show_default=False),
    ],
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            help="CSV with a column `architecture` (JSON) and one of the metric.",
            show_default=False,
        ),
    ],
    metric: Annotated[
        str | None,
        typer.Option("--metric", help="The column to score against; without it the predictor's own metric."),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", help="Write predicted against measured values: FILE.svg, .png or .pdf."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Scores a predictor on a CSV of measurements: errors, ranks, and whether its intervals hold."""
    from hwnas.cli.scores_plot import write_scores_plot
    from hwnas.predictors import find_drift, load_predictor, read_measurements
    from hwnas.predictors import score as scored

    fitted = load_predictor(predictor)
    column = metric or column_for(fitted.metric, data)
    measured = read_measurements(data, fitted.space, column)
    prediction = fitted.predict(measured.candidates)
    found = scored(prediction, measured.values, metric=fitted.metric)
    if plot:
        write_scores_plot(plot, fitted.metric, prediction, measured.values)
    drift = find_drift(measured.values, prediction.mean) if fitted.physics else None
    if as_json:
        print_json(found.to_json() | {"drift": drift and drift.to_json()})
        return
    say(f"{predictor} on column '{column}' of {data}:")
    show_score(found, fitted.metric)
    if drift:
        say(drift_line(drift))
    if plot:
        say(f"wrote {plot}")
