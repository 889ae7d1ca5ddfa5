"""`hwnas export`: files of a front's models, through the gate."""

from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli.fields import fields_as_options
from hwnas.cli.options import Json, StoreFile, dataset_for, opened_supernet, usable_device
from hwnas.cli.output import print_json, print_table, say, showing_progress
from hwnas.errors import InputError
from hwnas.units import format_time_ms

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hwnas.data import Dataset
    from hwnas.export.finish import Finish
    from hwnas.export.settle import Settled
    from hwnas.profilers import Device
    from hwnas.search.front import Member
    from hwnas.spaces import Space
    from hwnas.supernet import Supernet

EXAMPLE = "hwnas export runs/demo-25ms --select knee -o models"


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """The options of `hwnas export`."""

    run: Annotated[Path, typer.Argument(help="A run folder that `hwnas search` made.", show_default=False)]
    select: Annotated[
        list[str] | None,
        typer.Option("--select", help="knee, fastest, best, all, or an ID; may be repeated."),
    ] = None
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for the files; without it RUN/exported.")
    ] = None
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            help="Files beside model.onnx: onnx, onnx-qdq, onnx-int4, qonnx, torch, tvm; may be repeated.",
        ),
    ] = None
    supernet: Annotated[
        Path | None,
        typer.Option(
            "--supernet", help="The run's supernet (.safetensors), if it is not where the search found it."
        ),
    ] = None
    store: StoreFile = None
    as_json: Json = False


@fields_as_options
def export(asked: ExportOptions) -> None:
    """Writes chosen models of a run, checks them against the supernet, and measures them on their device."""
    from hwnas.export.formats import checked_formats
    from hwnas.export.select import select
    from hwnas.files import read_json
    from hwnas.search.front import read_front

    run, formats = asked.run, checked_formats(asked.formats or [])
    front = read_front(run)
    members = select(front.members, asked.select or ["all"])
    config = read_json(run / "config.json", "run configuration")
    file = asked.supernet or _supernet_file(run)
    opened = opened_supernet(file)
    _need_supernet(_field(config, "supernet", run), opened.digest(), run, file)
    dataset = dataset_for(_field(config, "data", run), opened)
    devices = _devices(members, opened.space, _definitions(config, run))
    folder = asked.output or run / "exported"
    with _finishing(folder, opened, dataset, devices, formats, asked.store) as finish:
        final = finish.run(front.with_members(tuple(members)))
    _show(final, folder, asked.as_json)


@contextmanager
def _finishing(
    folder: Path,
    supernet: "Supernet",
    dataset: "Dataset",
    devices: "Sequence[Device]",
    formats: "Sequence[str]",
    store: Path | None,
) -> "Iterator[Finish]":
    """Yields what writes and measures models in a folder that is held until the end."""
    from hwnas.export.finish import Finish
    from hwnas.profilers import Protocol, Store, default_store_path
    from hwnas.profilers.profile import canary_reference_ms
    from hwnas.search.run_folder import Journal, locked_folder
    from hwnas.supernet import Evaluator

    with (
        showing_progress() as progress,
        locked_folder(folder),
        Store(store or default_store_path()) as known,
        closing(Journal(folder / "journal.jsonl")) as journal,
    ):
        yield Finish(
            space=supernet.space,
            devices=devices,
            evaluator=Evaluator(supernet, dataset),
            supernet_digest=supernet.digest(),
            folder=folder,
            journal=journal,
            progress=progress,
            protocol=Protocol(),
            canary_reference_ms=lambda device: canary_reference_ms(device, known),
            formats=formats,
        )


def _supernet_file(run: Path) -> Path | None:
    """Where the search read its supernet, as long as it is there; its digest is checked in any case."""
    from hwnas.files import read_json

    path = run / "environment.json"
    found = read_json(path, "environment of the run") if path.exists() else None
    named = found.get("supernet_file") if isinstance(found, dict) else None
    return Path(named) if isinstance(named, str) and "\0" not in named and Path(named).is_file() else None


def _need_supernet(wanted: str, digest: str, run: Path, given: Path | None) -> None:
    if digest != wanted:
        raise InputError(
            f"run {run} was searched with supernet {wanted}, but {given or 'the demo supernet'} is "
            f"{digest}; name the run's supernet with --supernet"
        )


def _show(final: "Settled", folder: Path, as_json: bool) -> None:
    if as_json:
        print_json(
            {"folder": str(folder), "models": [m.to_json() for m in final.members], "dropped": final.dropped}
        )
        return
    rows = []
    for member in final.members:
        latency = member.latency_ms[member.deploy_on]
        place = folder / "models" / member.id
        assert member.accuracy_top1_test is not None, "the gate has tested every file"
        test = member.accuracy_top1_test["value"]
        rows.append([member.id, member.deploy_on, f"{test:.2f}", format_time_ms(latency["value"]), place])
    print_table(["model", "deploy on", "test %", "latency", "files"], rows)
    for one in final.dropped:
        say(f"dropped {one['id']}: {one['reason']}")


def _devices(members: "Sequence[Member]", space: "Space", definitions: dict[str, Any]) -> "list[Device]":
    """The devices that the models are for, each once."""
    names = dict.fromkeys(one.deploy_on for one in members)
    return [usable_device(name, space, definitions) for name in names]


def _definitions(config: dict[str, Any], run: Path) -> dict[str, Any]:
    """The fields of the devices that files described when the run was searched, by name."""
    found = config.get("device_definitions") or {}
    if not (isinstance(found, dict) and all(isinstance(one, dict) for one in found.values())):
        raise InputError(f"{run / 'config.json'} must hold the fields of each device in device_definitions")
    return found


def _field(config: Any, name: str, run: Path) -> str:
    value = config.get(name) if isinstance(config, dict) else None
    if not isinstance(value, str):
        raise InputError(f"{run / 'config.json'} must hold '{name}'; it is not a run of this version")
    return value
