"""What is said of how an artefact's kernels were scheduled."""

import json
from collections.abc import Sequence
from pathlib import Path

from hwnas import files
from hwnas.profilers.device import Remarks
from hwnas.profilers.tvm.compiled.assemble import calls_of
from hwnas.profilers.tvm.compiled.library import Coverage, Library
from hwnas.spaces import Layer

_FILE = "coverage.json"
_LEAST_PERCENT = 95.0


def network_coverage(layers: Sequence[Layer], library: Library) -> Coverage:
    """Returns how much of a chain of layers runs in which kernels."""
    return library.coverage(call.kernel for call in calls_of(layers, library.plan))


def write_coverage(layers: Sequence[Layer], library: Library, folder: Path) -> None:
    """Writes what `coverage_remarks` reads beside an artefact; nothing where all is tuned."""
    found = network_coverage(layers, library)
    if found.flops_percent < 100:
        files.write_json(folder / _FILE, _conditions(found))


def coverage_remarks(artefact: Path, command: str) -> Remarks:
    """Returns the shares of an artefact's kernels, with a reason for doubt where many have no good schedule.

    Kernels by rule are good ones; those with TVM's plain schedule are not.

    Args:
        artefact: with what `write_coverage` wrote beside it.
        command: that would tune on.
    """
    path = artefact.parent / _FILE
    percent = _conditions(Coverage(100.0, 100.0, 0.0))
    if path.exists():
        percent = json.loads(path.read_text(encoding="utf-8"))
    good = percent["tuned_flops_percent"] + percent["ruled_flops_percent"]
    doubt = f"only {good:.0f} % of its operations run in kernels with good schedules; tune them: {command}"
    return Remarks(percent, (doubt,) if good < _LEAST_PERCENT else ())


def _conditions(coverage: Coverage) -> dict[str, float]:
    return {
        "tuned_flops_percent": round(coverage.flops_percent, 1),
        "tuned_time_percent": round(coverage.time_percent, 1),
        "ruled_flops_percent": round(coverage.ruled_flops_percent, 1),
    }
