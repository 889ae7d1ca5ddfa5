"""`hwnas devices`: what can be measured here, and what would make the rest usable."""

from typing import Annotated, Any

import typer

from hwnas.cli.options import Json
from hwnas.cli.output import print_json, print_table

EXAMPLE = "hwnas devices cpu"


def devices(
    name: Annotated[
        str | None, typer.Argument(help="One device, with its facts.", show_default=False)
    ] = None,
    space: Annotated[str, typer.Option("--space", help="Usable for this space?")] = "demo",
    as_json: Json = False,
) -> None:
    """Every known device; usable here, or why not and what would make it so."""
    from hwnas.profilers import device_names
    from hwnas.spaces import open_space

    chosen = open_space(space)
    described = [_described(one, chosen) for one in ([name] if name else device_names())]
    if as_json:
        print_json(described[0] if name else described)
        return
    columns = ["device", "runtime", "times are", "bits", "threads", "batch", "usable here"]
    rows = [
        [
            one["name"],
            one["runtime"],
            one["kind"],
            ", ".join(map(str, one["bits"])),
            one["threads"],
            one["batch"],
            "yes" if one["usable"] else f"no: {one['reason']}",
        ]
        for one in described
    ]
    print_table(columns, rows)
    if name and described[0]["facts"]:
        print_table(["fact", "value"], [[key, value] for key, value in described[0]["facts"].items()])


def _described(name: str, space: Any) -> dict[str, Any]:
    from hwnas.profilers import get_device

    device = get_device(name, space)
    reason = device.unavailable()
    return {
        "name": name,
        "runtime": device.runtime,
        "kind": device.kind,
        "bits": list(device.bits),
        "threads": device.threads,
        "batch": device.batch,
        "usable": reason is None,
        "reason": reason,
        "facts": {} if reason else dict(device.fingerprint().facts),
    }
