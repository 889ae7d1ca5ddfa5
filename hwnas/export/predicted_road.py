"""The road without a supernet: a search on predictors, its folder and its report."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.errors import InputError
from hwnas.export.remarks import front_remarks
from hwnas.export.road import RoadResult
from hwnas.export.run_files import write_environment, write_rows
from hwnas.predictors import FittedPredictor
from hwnas.profilers import Device
from hwnas.profilers.simulated import SimulatedDevice
from hwnas.progress import Progress
from hwnas.search.expected import PredictedDevice
from hwnas.search.feasible import usable_pairs
from hwnas.search.front import write_front
from hwnas.search.predicted import PredictedSearch
from hwnas.search.run_folder import run_folder
from hwnas.search.settings import SearchSettings
from hwnas.search.truth import TableFigure
from hwnas.spaces import FLOAT_BITS, Pair, alike


@dataclass(frozen=True, kw_only=True)
class PredictedRoad:
    """One search on predictors.

    Attributes:
        accuracy: of accuracies in percent; its space is searched.
        latencies: latency predictors by the name of what they stand for.
        devices: simulated ones, whose tables are exact.
        command: the words that started it, for the report.
    """

    accuracy: FittedPredictor
    latencies: Mapping[str, FittedPredictor]
    devices: Sequence[SimulatedDevice]
    settings: SearchSettings
    folder: Path
    progress: Progress
    command: Sequence[str] = ()

    def travel(self) -> RoadResult:
        """Returns the expected front; everything about it is in the run folder.

        Raises:
            InputError: predictors that do not fit, or the run folder holds another run.
            InfeasibleError: no network is expected to keep the limits.
        """
        from hwnas.report import write_report

        with run_folder(self.folder, self._config()):
            write_environment(self.folder, self.devices, self.command)
            front, convergence = PredictedSearch(
                space=self.accuracy.space,
                accuracy=self.accuracy,
                devices=self._known(),
                settings=self.settings,
                progress=self.progress,
            ).run()
            write_front(front, self.folder)
            write_rows(self.folder / "convergence.csv", [line.to_row() for line in convergence])
        remarks = ["accuracies are predicted: no network was evaluated, and none was measured"]
        return RoadResult(front, write_report(self.folder), remarks + front_remarks(front))

    def _known(self) -> dict[str, PredictedDevice]:
        space = self.accuracy.space
        wanted: tuple[Pair, ...] = alike(self.settings.bits or (FLOAT_BITS,))
        found = {
            name: PredictedDevice("predicted", wanted, predictor, None, {"runtime": predictor.metric})
            for name, predictor in self.latencies.items()
        }
        for device in self.devices:
            table = device.table(space)
            energies = all(cost.energy_mj is not None for cost in table.rows.values())
            found[device.name] = PredictedDevice(
                "simulated",
                usable_pairs(device, self.settings.bits),
                TableFigure.of(table, space, "latency_ms"),
                TableFigure.of(table, space, "energy_mj") if energies else None,
                {"runtime": device.runtime, "fingerprint": dict(device.fingerprint().facts)},
            )
        return found

    def _config(self) -> dict[str, Any]:
        return {
            "space": self.accuracy.space.name,
            "accuracy_predictor": _digest(self.accuracy),
            "latency_predictors": {name: _digest(one) for name, one in self.latencies.items()},
            "devices": {device.name: device.fingerprint().digest for device in self.devices},
            "settings": self.settings.to_json(),
        }


def simulated_only(devices: Sequence[Device]) -> list[SimulatedDevice]:
    """Returns the devices, all of them simulated.

    Raises:
        InputError: one of them has to be measured.
    """
    found = []
    for device in devices:
        if not isinstance(device, SimulatedDevice):
            raise InputError(
                f"a search on predictors measures nothing, so device '{device.name}' cannot be used; fit a "
                "predictor of its latency (hwnas profile, hwnas fit) and name it with --latency-predictor"
            )
        found.append(device)
    return found


def _digest(predictor: FittedPredictor) -> str:
    text = json.dumps(predictor.to_json(), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
