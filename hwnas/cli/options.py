"""Options that several commands share, and how their texts become values."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.errors import InputError
from hwnas.files import MAX_JSON_BYTES, json_object, read_text
from hwnas.units import parse_time_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hwnas.data import Dataset
    from hwnas.profilers.device import Device
    from hwnas.spaces import Space
    from hwnas.supernet import Supernet

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of every random choice.")]
Data = Annotated[
    str,
    typer.Option("--data", help="Data set: digits, imagefolder:PATH, cifar10:PATH, or a registered name."),
]
SpaceName = Annotated[
    str, typer.Option("--space", help="A space, as `hwnas spaces` lists them, or your own FILE.yaml.")
]
DeviceName = Annotated[
    str, typer.Option("--device", help="A device, as `hwnas devices` lists them, or your own FILE.yaml.")
]
StoreFile = Annotated[
    Path | None,
    typer.Option(
        "--store", help="Measurement store (SQLite); without it the one in HWNAS_HOME or your data folder."
    ),
]


def parsed_bits(text: str | None) -> tuple[int, ...]:
    """Returns the bitwidths of a text such as `32,8`; () for None.

    Raises:
        InputError: not whole numbers from 1 to 16, or 32.
    """
    if text is None:
        return ()
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() and (1 <= int(part) <= 16 or int(part) == 32) for part in parts):
        raise InputError(f"--bits must be bitwidths from 1 to 16, or 32, such as 32,8, but got '{text}'")
    return tuple(dict.fromkeys(int(part) for part in parts))


def parsed_seconds(text: str | None, option: str) -> float | None:
    """Returns the seconds of a text such as `10min`; None for None.

    Raises:
        InputError: a figure without its unit, or that is no time above zero.
    """
    return parse_time_ms(text, option) / 1e3 if text else None


def usable_device(
    name: str, space: "Space", definitions: "Mapping[str, Mapping[str, Any]] | None" = None
) -> "Device":
    """Returns a device that can run here.

    Args:
        name: as users write it, or of one of the definitions.
        space: whose networks it will run.
        definitions: of devices that files described, by name.

    Raises:
        InputError: no such device, or not usable here; the message says what would make it so.
    """
    from hwnas.profilers.registry import device_of_definition, get_device

    described = (definitions or {}).get(name)
    device = get_device(name, space) if described is None else device_of_definition(described, space)
    device.need_usable()
    return device


def opened_supernet(path: Path | None) -> "Supernet":
    """Returns the supernet in a file, or the demo supernet.

    Torch is set to one thread: candidates are shared out over the cores instead, and on a busy
    machine threads that wait for each other lose a factor of ten.
    """
    import torch

    from hwnas.supernet import demo_supernet_path, load_supernet

    torch.set_num_threads(1)
    return load_supernet(path or demo_supernet_path())


def dataset_for(spec: str, supernet: "Supernet") -> "Dataset":
    """Returns a data set whose classes fit the supernet.

    Raises:
        InputError: no such data set, or another number of classes.
    """
    from hwnas.data import get_dataset

    dataset = get_dataset(spec)
    if dataset.num_classes != supernet.space.num_classes:
        raise InputError(
            f"data '{spec}' has {dataset.num_classes} classes, but the supernet was trained for "
            f"{supernet.space.num_classes}; name the data it was trained on with --data"
        )
    return dataset


def architecture_rows(texts: list[str], file: Path | None) -> list[dict[str, Any]]:
    """Returns the parsed JSON objects of texts and of a file with one object a line.

    Raises:
        InputError: a text or line that is no JSON object; the file's line is named.
    """
    rows = [json_object(text, "--architecture") for text in texts]
    if file:
        lines = io.StringIO(read_text(file, "architectures in", MAX_JSON_BYTES))
        rows += [
            json_object(line, f"{file} line {number}") for number, line in enumerate(lines, 1) if line.strip()
        ]
    return rows
