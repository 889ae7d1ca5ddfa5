"""`hwnas export-weights`: supernets in the official Once-for-All layout."""

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli.options import Json
from hwnas.cli.output import print_json, say

EXAMPLE = "hwnas export-weights ofa.safetensors -o ofa_mbv3_d234_e346_k357_w1.0.pt"


def export_weights(
    supernet: Annotated[Path, typer.Argument(help="A supernet of an `ofa-` space.", show_default=False)],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="The file to write: NAME.pt for torch.load, or NAME.safetensors.",
            show_default=False,
        ),
    ],
    as_json: Json = False,
) -> None:
    """Writes a supernet's weights under the keys of the official Once-for-All code."""
    from hwnas.supernet import load_supernet, write_official

    opened = load_supernet(supernet)
    write_official(opened, output)
    if as_json:
        print_json({"checkpoint": str(output), "space": opened.space.name})
        return
    say(f"wrote {output}: the official layout of {opened.space.name}, under 'state_dict'")
