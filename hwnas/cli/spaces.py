"""`hwnas spaces`: the spaces, their genes, sizes and cost ranges."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli.options import Json
from hwnas.cli.output import print_json, print_table

if TYPE_CHECKING:
    from hwnas.spaces import Space

EXAMPLE = "hwnas spaces demo"


def spaces(
    name: Annotated[str | None, typer.Argument(help="One space, with its genes.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """The spaces, their genes, sizes, cost ranges."""
    from hwnas.spaces import get_space, space_names

    names = [name] if name else space_names()
    described = [_described(get_space(one)) for one in names]
    if as_json:
        print_json(described[0] if name else described)
        return
    columns = ["space", "architectures", "classes", "MMACs", "kparams", "image px", "layers"]
    rows = [
        [
            one["name"],
            f"{one['architectures']:.3g}",
            one["classes"],
            _range(one["macs"], 1e6),
            _range(one["params"], 1e3),
            _range(one["image_sizes_px"], 1),
            one["vocabulary"],
        ]
        for one in described
    ]
    print_table(columns, rows)
    if name:
        genes = [[g, entry["count"], entry["choices"]] for g, entry in described[0]["genes"].items()]
        print_table(["gene", "positions", "choices"], genes)


def _described(space: "Space") -> dict[str, Any]:
    from hwnas.spaces import Candidates

    ends = Candidates.of_architectures(space, [space.smallest(), space.largest()]).costs()
    genes: dict[str, Any] = {}
    for gene in space.genes:
        entry = genes.setdefault(gene.group, {"count": 0, "choices": list(gene.choices)})
        entry["count"] += 1
    sizes = [
        layer.in_size_px for layer in (space.layers(space.smallest())[0], space.layers(space.largest())[0])
    ]
    return {
        "name": space.name,
        "architectures": space.num_architectures,
        "classes": space.num_classes,
        "macs": ends.macs.tolist(),
        "params": ends.params.tolist(),
        "weight_bytes": ends.weight_bytes.tolist(),
        "peak_memory_bytes": ends.peak_memory_bytes.tolist(),
        "image_sizes_px": sizes,
        "vocabulary": len(space.vocabulary),
        "genes": genes,
    }


def _range(ends: list[int], unit: float) -> str:
    return f"{ends[0] / unit:.3g} - {ends[1] / unit:.3g}"
