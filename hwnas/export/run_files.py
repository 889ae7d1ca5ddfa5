"""The files of a run folder that the report is made from, beside the front."""

import csv
import io
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.export.manifest import versions
from hwnas.files import write_json, write_text
from hwnas.profilers import Device
from hwnas.search.baselines import Margin
from hwnas.search.result import SearchResult


def write_environment(
    folder: Path, devices: Sequence[Device], command: Sequence[str], supernet_file: Path | None = None
) -> None:
    """Writes `environment.json`: what the run was started with and on."""
    packages = versions()
    write_json(
        folder / "environment.json",
        {
            "command": list(command),
            "supernet_file": None if supernet_file is None else str(supernet_file.absolute()),
            "hwnas": packages.pop("hwnas"),
            "python": packages.pop("python"),
            "platform": platform.platform(),
            "packages": packages,
            "devices": {device.name: dict(device.fingerprint().facts) for device in devices},
        },
    )


def write_convergence(folder: Path, result: SearchResult) -> None:
    """Writes `convergence.csv`: hypervolumes, expected and measured, with their reference point."""
    write_rows(folder / "convergence.csv", [line.to_row() for line in result.convergence])


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes a CSV whose columns are those of the first of the rows; there must be one."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, out.getvalue())


def write_predictors(folder: Path, result: SearchResult) -> None:
    """Writes `predictors.json`: held-out scores, (measured, predicted) pairs, and those of proposals."""
    found: dict[str, Any] = {}
    for name, fitted in result.fits.latency.items():
        found[name] = {
            "score": fitted.score.to_json(),
            "pairs": np.stack([fitted.truth, fitted.held_out], axis=1).tolist(),
            "verified": [list(pair) for pair in result.verified.get(name, [])],
            "margin": fitted.margin,
        }
    truth, held_out = result.fits.accuracy_pairs
    found["accuracy_top1"] = {
        "score": result.fits.accuracy_score.to_json(),
        "pairs": np.stack([truth, held_out], axis=1).tolist(),
    }
    write_json(folder / "predictors.json", found)


def write_baselines(folder: Path, margins: Mapping[str, Margin]) -> None:
    """Writes `baselines.json`: margins over the obvious, and the points they are taken from."""
    write_json(folder / "baselines.json", {name: one.to_json() for name, one in margins.items()})
