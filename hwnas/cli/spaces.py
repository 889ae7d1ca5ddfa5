"""`hwnas spaces`: the spaces, their genes, sizes and cost ranges."""

import json
import math
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli.options import Json
from hwnas.cli.output import print_json, print_table
from hwnas.errors import InputError

if TYPE_CHECKING:
    from hwnas.spaces import Space

EXAMPLE = "hwnas spaces demo --yaml > mine.yaml  # change it, then: hwnas spaces mine.yaml"


def spaces(
    name: Annotated[
        str | None,
        typer.Argument(help="One space, with its genes: a name, or your own FILE.yaml.", show_default=False),
    ] = None,
    as_yaml: Annotated[
        bool, typer.Option("--yaml", help="Print the space as a YAML file, to start your own from.")
    ] = False,
    scale: Annotated[
        str | None,
        typer.Option(
            "--scale",
            help="Print architectures that grow in depth, width and image size together, one JSON a line, "
            "by these phis, such as 0,0.5,1.",
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option("--base", help="The architecture (JSON) that --scale starts from; else the smallest."),
    ] = None,
    as_json: Json = False,
) -> None:
    """The spaces, their genes, sizes, cost ranges."""
    from hwnas.spaces import open_space, space_names, space_yaml

    _check_options(name, as_yaml, scale, base, as_json)
    opened = [open_space(one) for one in ([name] if name else space_names())]
    if as_yaml:
        sys.stdout.write(space_yaml(opened[0]))
    elif scale is not None:
        _print_scaled(opened[0], scale, base)
    else:
        described = [_described(one) for one in opened]
        if as_json:
            print_json(described[0] if name else described)
        else:
            _show(described, one=name is not None)


def _check_options(
    name: str | None, as_yaml: bool, scale: str | None, base: str | None, as_json: bool
) -> None:
    if (as_yaml or scale is not None) and name is None:
        raise InputError("--yaml and --scale print one space; name it: hwnas spaces demo --yaml")
    if as_yaml + as_json + (scale is not None) > 1:
        raise InputError("--yaml, --scale and --json print different things; give one of them")
    if base is not None and scale is None:
        raise InputError("--base is what --scale starts from; add --scale, such as --scale 0,0.5,1")


def _print_scaled(space: "Space", scale: str, base: str | None) -> None:
    from hwnas.spaces import compound_scaled

    phis = _parsed_phis(scale)
    start = space.architecture(base) if base is not None else None
    for architecture in compound_scaled(space, phis, start):
        sys.stdout.write(json.dumps(architecture.to_json()) + "\n")


def _parsed_phis(text: str) -> list[float]:
    try:
        phis = [float(part) for part in text.split(",")]
    except ValueError:
        phis = [math.nan]
    if not all(-100 <= phi <= 100 for phi in phis):
        raise InputError(f"--scale must be numbers from -100 to 100, such as 0,0.5,1, but got '{text}'")
    return phis


def _show(described: list[dict[str, Any]], one: bool) -> None:
    columns = ["space", "architectures", "classes", "MMACs", "kparams", "image px", "layers"]
    rows = [
        [
            space["name"],
            _rounded(space["architectures"]),
            space["classes"],
            _range(space["macs"], 1e6),
            _range(space["params"], 1e3),
            _range(space["image_sizes_px"], 1),
            space["vocabulary"],
        ]
        for space in described
    ]
    print_table(columns, rows)
    if one:
        genes = [[group, entry["count"], entry["choices"]] for group, entry in described[0]["genes"].items()]
        print_table(["gene", "positions", "choices"], genes)
        sys.stdout.write(f"the largest as JSON: {json.dumps(described[0]['largest'])}\n")


def _described(space: "Space") -> dict[str, Any]:
    from hwnas.spaces import Candidates

    ends = Candidates.of_architectures(space, [space.smallest(), space.largest()]).costs()
    genes: dict[str, Any] = {}
    for gene in space.genes:
        entry = genes.setdefault(gene.group, {"count": 0, "choices": []})
        entry["count"] += 1
        entry["choices"] = sorted({*entry["choices"], *gene.choices})
    return {
        "name": space.name,
        "architectures": space.num_architectures,
        "classes": space.num_classes,
        "macs": ends.macs.tolist(),
        "params": ends.params.tolist(),
        "weight_bytes": ends.weight_bytes.tolist(),
        "peak_memory_bytes": ends.peak_memory_bytes.tolist(),
        "image_sizes_px": [space.image_sizes[0], space.image_sizes[-1]],
        "vocabulary": len(space.vocabulary),
        "genes": genes,
        "largest": space.largest().to_json(),
    }


def _rounded(count: int) -> str:
    """Three digits; counts of large spaces are beyond floating point."""
    power = len(str(count)) - 1
    return f"{count:.3g}" if power < 300 else f"{count // 10 ** (power - 2) / 100:.3g}e+{power}"


def _range(ends: list[int], unit: float) -> str:
    low, high = (f"{end / unit:.3g}" if end < 1000 * unit else f"{end / unit:.0f}" for end in ends)
    return f"{low} - {high}"
