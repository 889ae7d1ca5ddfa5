"""`hwnas evaluate`: accuracy of subnets of a supernet."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hwnas.cli.options import Data, Json, Seed, architecture_rows, dataset_for, opened_supernet
from hwnas.cli.output import print_json, print_table, say, showing_progress

EXAMPLE = "hwnas evaluate supernet.safetensors --data digits --sample 10 -o results.csv"


def evaluate(
    supernet: Annotated[
        Path | None,
        typer.Argument(help="A trained supernet; without it the demo supernet.", show_default=False),
    ] = None,
    data: Data = "digits",
    architecture: Annotated[
        list[str] | None,
        typer.Option(
            "--architecture", help="An architecture as JSON, or smallest or largest; may be repeated."
        ),
    ] = None,
    architectures: Annotated[
        Path | None, typer.Option("--architectures", help="A file with one JSON object a line.")
    ] = None,
    sample: Annotated[int, typer.Option("--sample", min=0, help="And so many random architectures.")] = 0,
    split: Annotated[
        str, typer.Option("--split", help="validate guides choices; test is for the last report only.")
    ] = "validate",
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="CSV of results; it is added to when given again."),
    ] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Accuracy of one or many subnets, normalisation recalibrated for each."""
    import numpy as np

    from hwnas.errors import InputError
    from hwnas.spaces import Candidates
    from hwnas.supernet import Evaluator

    if split not in ("validate", "test"):
        raise InputError(f"--split must be validate or test, but got '{split}'")
    opened = opened_supernet(supernet)
    space = opened.space
    ends = {"smallest": space.smallest(), "largest": space.largest()}
    named = [ends[text].to_json() for text in architecture or [] if text in ends]
    rows = named + architecture_rows([text for text in architecture or [] if text not in ends], architectures)
    rows += [one.to_json() for one in space.sample(sample, np.random.default_rng(seed))]
    if not rows:
        raise InputError("no architecture given: add --architecture JSON, --architectures FILE or --sample N")
    candidates = Candidates.of_json(space, rows)
    evaluator = Evaluator(opened, dataset_for(data, opened))
    with showing_progress() as progress:
        results = _evaluated(evaluator, candidates, split, output, progress)
    if as_json:
        print_json(results)
    else:
        columns = ["id", "accuracy top-1 %", "± s.e.", "MMACs", "split"]
        macs = candidates.costs().macs / 1e6
        print_table(
            columns,
            [
                [one["id"], f"{one['accuracy_top1']:.2f}", f"{one['standard_error']:.2f}", f"{m:.2f}", split]
                for one, m in zip(results, macs, strict=True)
            ],
        )
    if output:
        say(f"wrote {output}")


def _evaluated(
    evaluator: Any, candidates: Any, split: str, output: Path | None, progress: Any
) -> list[dict[str, Any]]:
    """Returns one result a candidate; those that the output file holds already are taken from it."""
    from hwnas.export.results import Results

    file = Results(output, split) if output else None
    known = dict(file.known) if file else {}
    results = []
    for row, (key, value) in enumerate(zip(candidates.ids, candidates.unpack(), strict=True)):
        progress.step("evaluate", row, len(candidates))
        if key not in known:
            one = evaluator.evaluate(candidates[[row]], split)[0]
            known[key] = {
                "id": key,
                "architecture": value.to_json(),
                "accuracy_top1": one.accuracy_top1,
                "standard_error": one.standard_error,
                "n": one.n,
                "split": split,
            }
            if file:
                file.add(known[key])
        results.append(known[key])
    progress.step("evaluate", len(candidates), len(candidates))
    return results
