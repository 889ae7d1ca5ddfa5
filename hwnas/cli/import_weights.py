"""`hwnas import-weights`: official Once-for-All checkpoints become supernets."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli.options import Json
from hwnas.cli.output import print_json, say

EXAMPLE = "hwnas import-weights ofa_mbv3_d234_e346_k357_w1.0 -o ofa.safetensors"


def import_weights(
    checkpoint: Annotated[
        Path, typer.Argument(help="An official checkpoint, of torch.save or safetensors.", show_default=False)
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The file to write, NAME.safetensors.", show_default=False)
    ],
    space: Annotated[
        str | None, typer.Option("--space", help="The space it must fit; without it the one that it fits.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Makes a supernet of an official Once-for-All checkpoint; nothing in the file is run."""
    from hwnas.supernet import read_official, save_supernet

    supernet = read_official(checkpoint, space)
    assert supernet.info is not None
    others = supernet.info.recipe.get("converted_from", [])
    if others:
        say(f"weights were {' and '.join(others)}; the supernet holds them as float32")
    save_supernet(supernet, output)
    served = supernet.space
    if as_json:
        print_json(
            {
                "supernet": str(output),
                "space": served.name,
                "num_classes": served.num_classes,
                "parameters": sum(parameter.numel() for parameter in supernet.parameters()),
                "converted_from": others,
            }
        )
        return
    say(f"{output}: space {served.name}, {served.num_classes} classes")
    say(
        f"next: hwnas search --target-latency 25ms --supernet {shlex.quote(str(output))} "
        "--data imagefolder:PATH"
    )
