"""`hwnas predict`: predicted latency with intervals, thousands at once."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli.options import DeviceName, Json, SpaceName, StoreFile, architecture_rows, usable_device
from hwnas.cli.output import print_json, print_table
from hwnas.errors import InputError

EXAMPLE = "hwnas predict --device cpu-ort --architectures some.jsonl"

# More rows than this are printed as JSON lines: a table of them serves nobody.
_TABLE_ROWS = 50


def predict(
    device: DeviceName,
    architectures: Annotated[
        Path | None, typer.Option("--architectures", help="A file with one architecture (JSON) a line.")
    ] = None,
    architecture: Annotated[
        list[str] | None, typer.Option("--architecture", help="An architecture as JSON; may be repeated.")
    ] = None,
    space: SpaceName = "demo",
    store: StoreFile = None,
    as_json: Json = False,
) -> None:
    """Predicted latency with a 90 % interval, from the predictor that `hwnas profile` fitted."""
    from hwnas.predictors import load_predictor
    from hwnas.predictors.places import predictor_path
    from hwnas.spaces import Candidates, open_space

    chosen = open_space(space)
    target = usable_device(device, chosen)
    rows = architecture_rows(architecture or [], architectures)
    if not rows:
        raise InputError("no architecture given: add --architectures FILE or --architecture JSON")
    candidates = Candidates.of_json(chosen, rows)
    path = predictor_path(target, chosen, store)
    if not path.exists():
        raise InputError(
            f"no predictor of {space} on {device} yet: make one with "
            f"hwnas profile --device {device} --space {space}"
        )
    prediction = load_predictor(path, chosen).predict(candidates)
    results = [
        {
            "id": key,
            "latency_ms": {"value": float(mean), "kind": "predicted", "low": float(low), "high": float(high)},
        }
        for key, mean, low, high in zip(
            candidates.ids, prediction.mean, prediction.low, prediction.high, strict=True
        )
    ]
    if as_json:
        print_json(results)
    elif len(results) > _TABLE_ROWS:
        sys.stdout.writelines(json.dumps(one) + "\n" for one in results)
    else:
        columns = ["id", "predicted ms", "90 % from", "to"]
        figures = [one["latency_ms"] for one in results]
        print_table(
            columns,
            [
                [one["id"], f"{f['value']:.4f}", f"{f['low']:.4f}", f"{f['high']:.4f}"]  # type: ignore[index]
                for one, f in zip(results, figures, strict=True)
            ],
        )
