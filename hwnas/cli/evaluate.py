"""`hwnas evaluate`: accuracy of subnets of a supernet."""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli.fields import fields_as_options
from hwnas.cli.interrupt import keeping_nothing
from hwnas.cli.options import (
    Data,
    Json,
    Seed,
    architecture_rows,
    dataset_for,
    opened_supernet,
    parsed_bits,
)
from hwnas.cli.output import print_json, print_table, say, showing_progress
from hwnas.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hwnas.spaces import Candidates, Space

EXAMPLE = "hwnas evaluate supernet.safetensors --data digits --sample 10 -o results.csv"

_SHOWN = 20  # rows of the table where a file holds all


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """The options of `hwnas evaluate`."""

    supernet: Annotated[
        Path | None,
        typer.Argument(help="A trained supernet; without it the demo supernet.", show_default=False),
    ] = None
    data: Data = "digits"
    architecture: Annotated[
        list[str] | None,
        typer.Option(
            "--architecture", help="An architecture as JSON, or smallest or largest; may be repeated."
        ),
    ] = None
    architectures: Annotated[
        Path | None, typer.Option("--architectures", help="A file with one JSON object a line.")
    ] = None
    sample: Annotated[int, typer.Option("--sample", min=0, help="And so many random architectures.")] = 0
    bits: Annotated[
        str | None,
        typer.Option(
            "--bits",
            help="Quantize every layer to so many bits; 32,8,4 evaluates each architecture at all three.",
        ),
    ] = None
    split: Annotated[
        str, typer.Option("--split", help="validate guides choices; test is for the last report only.")
    ] = "validate"
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="CSV of results; it is added to when given again."),
    ] = None
    images: Annotated[
        int | None, typer.Option("--images", min=1, help="Evaluate on so many images; without it on all.")
    ] = None
    calibrate_images: Annotated[
        int, typer.Option("--calibrate-images", min=1, help="Images that recalibrate each subnet.")
    ] = 500
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Images at a time.")] = 50
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            min=1,
            help="Processes, or actors on Ray; without it a thread a core, a process a GPU, or all of Ray.",
        ),
    ] = None
    torch_device: Annotated[
        str,
        typer.Option("--torch-device", help="cpu, cuda (all GPUs), cuda:1, or auto: cuda if there."),
    ] = "auto"
    ray: Annotated[
        str | None,
        typer.Option("--ray", help="Spread over a Ray cluster: HOST:PORT, ray://HOST:PORT, auto or local."),
    ] = None
    seed: Seed = 0
    as_json: Json = False


@fields_as_options
def evaluate(asked: EvaluateOptions) -> None:
    """Accuracy of one or many subnets, each recalibrated under its own bits."""
    from hwnas.export.results import evaluate_into
    from hwnas.supernet import Evaluator, RayCluster, local_workers

    if asked.split not in ("validate", "test"):
        raise InputError(f"--split must be validate or test, but got '{asked.split}'")
    opened = opened_supernet(asked.supernet)
    candidates = _candidates(asked, opened.space)
    evaluator = Evaluator(
        opened,
        dataset_for(asked.data, opened),
        calibrate_images=asked.calibrate_images,
        images=asked.images,
        batch_size=asked.batch_size,
        torch_device="cpu" if asked.ray else asked.torch_device,
    )
    where = (
        RayCluster(asked.ray, asked.workers, asked.torch_device)
        if asked.ray
        else local_workers(evaluator, asked.workers)
    )
    kept = nullcontext() if asked.output else keeping_nothing("add -o FILE to keep each result")
    with kept, showing_progress() as progress:
        results = evaluate_into(asked.output, evaluator, candidates, asked.split, where, progress)
    if asked.as_json:
        print_json(results)
    else:
        _show(results, candidates, asked.split, shortened=asked.output is not None)
    if asked.output:
        say(f"wrote {asked.output}")


def _candidates(asked: EvaluateOptions, space: "Space") -> "Candidates":
    """The networks that are named, in a file, or drawn, each at the bits that are asked for."""
    import numpy as np

    from hwnas.spaces import Candidates

    texts = asked.architecture or []
    ends = {"smallest": space.smallest(), "largest": space.largest()}
    rows = [ends[text].to_json() for text in texts if text in ends]
    for text in texts:
        if text not in ends and not text.lstrip().startswith("{"):
            raise InputError(
                f"--architecture must be an architecture as JSON, smallest or largest, but got '{text}'; "
                f"hwnas spaces {space.name} shows the form"
            )
    rows += architecture_rows([text for text in texts if text not in ends], asked.architectures)
    rows += [one.to_json() for one in space.sample(asked.sample, np.random.default_rng(asked.seed))]
    if not rows:
        raise InputError("no architecture given: add --architecture JSON, --architectures FILE or --sample N")
    return _at_bits(Candidates.of_json(space, rows), parsed_bits(asked.bits))


def _show(
    results: "Sequence[Mapping[str, Any]]", candidates: "Candidates", split: str, *, shortened: bool
) -> None:
    """Prints a table; of many the most accurate alone, where a file holds all."""
    columns = ["id", "accuracy top-1 %", "± s.e.", "MMACs", "bits", "split"]
    macs, mean_bits = candidates.costs().macs / 1e6, candidates.mean_bits()
    table = [
        [
            one["id"],
            f"{one['accuracy_top1']:.2f}",
            f"{one['standard_error']:.2f}",
            f"{m:.2f}",
            f"{b:.3g}",
            split,
        ]
        for one, m, b in zip(results, macs, mean_bits, strict=True)
    ]
    if shortened and len(table) > 2 * _SHOWN:
        table = sorted(table, key=lambda row: -float(row[1]))[:_SHOWN]
        say(f"the {_SHOWN} most accurate of {len(results)}:")
    print_table(columns, table)


def _at_bits(candidates: "Candidates", bits: tuple[int, ...]) -> "Candidates":
    """Returns each architecture at each of the bitwidths; all as they are where there is none.

    Raises:
        InputError: bits that no layer is quantized to.
    """
    from hwnas.profilers.onnx.quantizer import MAX_BITS
    from hwnas.spaces import FLOAT_BITS, Candidates

    if not bits:
        return candidates
    wrong = [one for one in bits if one != FLOAT_BITS and not 2 <= one <= MAX_BITS]
    if wrong:
        raise InputError(
            f"--bits must be from 2 to {MAX_BITS}, or {FLOAT_BITS} for floating point, but got {wrong[0]}"
        )
    parts = [Candidates.of_genomes(candidates.space, candidates.genomes, one, one) for one in bits]
    order = [row + part * len(candidates) for row in range(len(candidates)) for part in range(len(bits))]
    return Candidates.concatenate(parts)[order]
