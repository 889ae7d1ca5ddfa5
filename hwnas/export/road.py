"""The main road from end to end: search, export, compare with the obvious, report."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.export.finish import Finish
from hwnas.export.remarks import finish_remarks, search_remarks
from hwnas.export.run_files import write_baselines, write_convergence, write_environment, write_predictors
from hwnas.export.settle import Settled
from hwnas.profilers import Device, Protocol, Store, default_store_path
from hwnas.profilers.profile import canary_reference_ms, profile
from hwnas.progress import Progress
from hwnas.search.account import Watch
from hwnas.search.baselines import Margin, margin
from hwnas.search.front import Front, write_front
from hwnas.search.loop import Search
from hwnas.search.pool import competing
from hwnas.search.result import SearchResult
from hwnas.search.run_folder import Journal, run_folder
from hwnas.search.settings import SearchSettings
from hwnas.search.truth import Accuracies

if TYPE_CHECKING:
    from hwnas.data import Dataset
    from hwnas.spaces import Space
    from hwnas.supernet import Evaluator, Supernet

# Of each kind so many baseline networks are evaluated on the test split, at the most.
_BASELINES = 24


@dataclass(frozen=True)
class RoadResult:
    """What the road ends with.

    Attributes:
        remarks: lines for people: predictor scores, misses, margins over the baselines.
    """

    front: Front
    report: Path
    remarks: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Road:
    """One travel of the main road.

    Attributes:
        store: the measurement store; None for the default one.
        export: whether models are written, measured and taken through the gate.
        command: the words that started it, for the report.
        supernet_file: where the supernet was read from, for `hwnas export`; None: it came with hwnas,
            or from no file.
        watch: hears of the state of the search after every generation.
    """

    supernet: "Supernet"
    dataset: "Dataset"
    devices: Sequence[Device]
    settings: SearchSettings
    folder: Path
    store: Path | None
    export: bool
    progress: Progress
    command: Sequence[str] = ()
    supernet_file: Path | None = None
    watch: Watch | None = None

    def travel(self) -> RoadResult:
        """Returns the front, exported; everything about it is in the run folder.

        Raises:
            InputError: the run folder holds another run, or cannot be written.
            InfeasibleError: no network keeps the target.
        """
        from hwnas.report import write_report
        from hwnas.supernet import Evaluator

        evaluator = Evaluator(self.supernet, self.dataset, images=self.settings.images)
        with (
            Store(self.store or default_store_path()) as store,
            run_folder(self.folder, self._config()) as journal,
        ):
            write_environment(self.folder, self.devices, self.command, self.supernet_file)
            result = self._search(evaluator, store, journal)
            front, remarks = result.front, search_remarks(result)
            if self.export:
                # From here on the test split is looked at.
                evaluator.forget_images("validate")
                left = self._finish(result, evaluator, journal, store)
                front = front.settled(left.members, left.dropped, left.hypervolume)
                compared = self._compare(result, front, evaluator, journal)
                write_baselines(self.folder, compared)
                remarks += finish_remarks(front, compared)
            write_front(front, self.folder)
            write_convergence(self.folder, result)
            write_predictors(self.folder, result)
        return RoadResult(front, write_report(self.folder), remarks)

    def _config(self) -> dict[str, Any]:
        info = self.supernet.info
        return {
            "space": self.supernet.space.name,
            **_definition(self.supernet.space),
            "supernet": self.supernet.digest(),
            "data": self.dataset.name,
            "data_fingerprint": self.dataset.fingerprint,
            "devices": {device.name: device.fingerprint().digest for device in self.devices},
            **_device_definitions(self.devices),
            "settings": self.settings.to_json(),
            "export": self.export,
            "supernet_trained_on": None if info is None else info.data,
        }

    def _search(self, evaluator: "Evaluator", store: Store, journal: Journal) -> SearchResult:
        for device in self.devices:
            step = f"prepare {device.name}"
            device.prepare(lambda done, total, step=step: self.progress.step(step, done, total))  # type: ignore[misc]
        return Search(
            space=self.supernet.space,
            devices=self.devices,
            evaluate=evaluator.stream,
            measure=lambda device, some: profile(device, some, store, progress=self.progress),
            settings=self.settings,
            journal=journal,
            progress=self.progress,
            watch=self.watch,
        ).run()

    def _finish(
        self, result: SearchResult, evaluator: "Evaluator", journal: Journal, store: Store
    ) -> Settled:
        return Finish(
            space=self.supernet.space,
            devices=self.devices,
            evaluator=evaluator,
            supernet_digest=self.supernet.digest(),
            folder=self.folder,
            journal=journal,
            progress=self.progress,
            protocol=Protocol(),
            canary_reference_ms=lambda device: canary_reference_ms(device, store),
        ).run(result.front)

    def _compare(
        self, result: SearchResult, front: Front, evaluator: "Evaluator", journal: Journal
    ) -> dict[str, Margin]:
        """Returns the margins over the baselines, on the test split, by baseline and machine."""
        tested = Accuracies(evaluator.stream, journal, split="test")
        margins = {}
        for group in competing(self.devices):
            members = [m for m in front.members if m.deploy_on in group and m.accuracy_top1_test]
            found = [
                np.array([m.latency_ms[m.deploy_on]["value"] for m in members]),
                np.array([m.accuracy_top1["value"] for m in members]),
                np.array([(m.accuracy_top1_test or {})["value"] for m in members]),
            ]
            for name, baseline in result.baselines.items():
                some = baseline[:_BASELINES]
                latency = result.pool.fastest(some, group, result.goal)
                some = some[np.flatnonzero(~np.isnan(latency))]
                tested.learn(
                    some, lambda done, total: self.progress.step("evaluate baselines on test", done, total)
                )
                key = name if len(competing(self.devices)) == 1 else f"{name} on {'+'.join(group)}"
                margins[key] = margin(
                    found_latency_ms=found[0],
                    found_validate=found[1],
                    found_test=found[2],
                    baseline_latency_ms=latency[~np.isnan(latency)],
                    baseline_test=tested.values(some),
                )
        return margins


def _device_definitions(devices: Sequence[Device]) -> dict[str, Any]:
    """What makes the devices again that files describe."""
    described = {device.name: device.definition for device in devices if device.definition is not None}
    return {"device_definitions": described} if described else {}


def _definition(space: "Space") -> dict[str, Any]:
    """What makes the space again where its name does not."""
    return {} if space.definition is None else {"space_definition": space.definition}
