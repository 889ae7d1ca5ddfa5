"""`hwnas report`: rebuilds the page of a run, or draws its figures for a paper."""

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli.options import Json
from hwnas.cli.output import print_json

EXAMPLE = "hwnas report runs/demo"


def report(
    run: Annotated[Path, typer.Argument(help="A run folder that `hwnas search` made.")],
    form: Annotated[
        str,
        typer.Option(
            "--format", help="html, the page; or png, svg or pdf: the figures for a paper, in RUN/figures."
        ),
    ] = "html",
    as_json: Json = False,
) -> None:
    """Rebuilds report.html of a run, or draws its figures for a paper."""
    from hwnas.report import write_figures, write_report

    written = [write_report(run)] if form == "html" else write_figures(run, form)
    if as_json:
        paths = [str(path) for path in written]
        print_json({"report": paths[0]} if form == "html" else {"figures": paths})
    else:
        print(*written, sep="\n")
