"""`hwnas devices`: what can be measured here, and what would make the rest usable."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli.options import Json
from hwnas.cli.output import print_json, print_table
from hwnas.errors import InputError

if TYPE_CHECKING:
    from hwnas.profilers import Device
    from hwnas.spaces import Space

EXAMPLE = "hwnas devices cpu-ort --yaml > mine.yaml  # change it, then: hwnas devices mine.yaml"


def devices(
    name: Annotated[
        str | None,
        typer.Argument(help="One device, with its facts: a name, or your own FILE.yaml.", show_default=False),
    ] = None,
    space: Annotated[
        str, typer.Option("--space", help="The space whose networks devices are to run.")
    ] = "demo",
    as_yaml: Annotated[
        bool, typer.Option("--yaml", help="Print the device as a YAML file, to start your own from.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Every known device; usable here, or why not and what would make it so."""
    from hwnas.profilers import device_names
    from hwnas.spaces import open_space

    chosen = open_space(space)
    if as_yaml:
        _print_yaml(name, chosen, as_json)
        return
    described = [_described(one, chosen) for one in ([name] if name else device_names())]
    if as_json:
        print_json(described[0] if name else described)
        return
    columns = ["device", "runtime", "times are", "bits", "threads", "batch", "energy meter", "usable here"]
    rows = [
        [
            one["name"],
            one["runtime"],
            one["kind"],
            ", ".join(map(str, one["bits"])),
            one["threads"],
            one["batch"],
            ", ".join(meter["name"] for meter in one["meters"] if meter["usable"]) or "-",
            "yes" if one["usable"] else "no",
        ]
        for one in described
    ]
    print_table(columns, rows)
    for one in described:
        if not one["usable"]:
            sys.stdout.write(f"{one['name']}: {one['reason']}\n")
    if name:
        _show(described[0])


def _print_yaml(name: str | None, space: "Space", as_json: bool) -> None:
    from hwnas.profilers.registry import yaml_of_device

    if name is None:
        raise InputError("--yaml prints one device; name it: hwnas devices cpu-ort --yaml")
    if as_json:
        raise InputError("--yaml and --json print different things; give one of them")
    sys.stdout.write(yaml_of_device(name, space))


def _show(one: dict[str, Any]) -> None:
    """Prints the facts of one device, its schedules and its meters."""
    facts = list(one["facts"].items())
    if one["schedules"]:
        facts.append(("tuned kernels", one["schedules"]["tuned_kernels"]))
    if facts:
        print_table(["fact", "value"], [[key, value] for key, value in facts])
    if one["meters"]:
        rows = [
            [meter["name"], meter["says"] if meter["usable"] else f"not usable here: {meter['says']}"]
            for meter in one["meters"]
        ]
        print_table(["energy meter", "measures"], rows)


def _described(name: str, space: "Space") -> dict[str, Any]:
    from hwnas.profilers import get_device

    device = get_device(name, space)
    reason = device.unavailable()
    return {
        "name": device.name,
        "runtime": device.runtime,
        "kind": device.kind,
        "bits": list(device.bits),
        "threads": device.threads,
        "batch": device.batch,
        "usable": reason is None,
        "reason": reason,
        "facts": {} if reason else dict(device.fingerprint().facts),
        "schedules": None if reason else _schedules(device),
        "meters": list(_meters(device)),
    }


def _schedules(device: "Device") -> dict[str, Any] | None:
    """What a TVM device runs on; None for other devices."""
    pack = getattr(device, "pack", None)  # of several classes: here, on a GPU, behind a tracker
    if pack is None:
        return None
    return {"pack": pack.id, "target": pack.target.name, "tuned_kernels": len(pack.schedules)}


def _meters(device: "Device") -> Iterator[dict[str, Any]]:
    from hwnas.profilers.energy.meters import meters_here

    for state in meters_here(device.energy, device.energy_meters):
        yield state._asdict()
