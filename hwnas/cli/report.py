"""`hwnas report`: rebuilds the page of a run."""

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli.options import Json
from hwnas.cli.output import print_json

EXAMPLE = "hwnas report runs/demo"


def report(
    run: Annotated[Path, typer.Argument(help="A run folder that `hwnas search` made.")],
    as_json: Json = False,
) -> None:
    """Rebuilds report.html of a run."""
    from hwnas.report import write_report

    page = write_report(run)
    if as_json:
        print_json({"report": str(page)})
    else:
        print(page)
