"""The descriptions of accelerators that come with hwnas: YAML files to use by name, or to copy."""

from importlib.resources import files
from typing import Any

from hwnas.spaces.yaml_text import parse_yaml

_FOLDER = "descriptions"


def shipped_names() -> list[str]:
    """Returns the names of the devices that are described here."""
    folder = files("hwnas.profilers.accelerators") / _FOLDER
    return sorted(one.name.removesuffix(".yaml") for one in folder.iterdir() if one.name.endswith(".yaml"))


def shipped_text(name: str) -> str:
    """Returns the YAML text of a device of `shipped_names`, comments and sources included."""
    place = files("hwnas.profilers.accelerators") / _FOLDER / f"{name}.yaml"
    return place.read_text(encoding="utf-8")


def shipped_fields(name: str) -> dict[str, Any]:
    """Returns the fields of a device of `shipped_names`."""
    return dict(parse_yaml(shipped_text(name), f"the description of {name}")[0])
