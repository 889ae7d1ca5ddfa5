"""The end of the main road: the front's models leave through the gate, and their files are measured."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.export.accuracy import accuracy
from hwnas.export.claims import Claims
from hwnas.export.file_times import measure_files
from hwnas.export.formats import FORMATS, bits_metadata, write_format
from hwnas.export.gate import check_agreement, file_logits
from hwnas.export.manifest import Manifest, manifest_figure, write_manifest
from hwnas.export.onnx import export_onnx
from hwnas.export.settle import Gated, Settled, settled
from hwnas.export.twins import build_twins, twin_figure, twin_name, twin_remark
from hwnas.files import temporary_folder
from hwnas.profilers import Device, Measurement, Protocol
from hwnas.profilers.onnx.model import MODEL_FILE
from hwnas.progress import Progress
from hwnas.search.front import Front, Member
from hwnas.search.pool import competing
from hwnas.search.run_folder import Journal
from hwnas.spaces import Candidates, Space, random_network, subject_key

if TYPE_CHECKING:
    from hwnas.supernet import Evaluator, Prepared

# Images on which torch and the file must agree.
_AGREEMENT_IMAGES = 250


@dataclass(frozen=True, kw_only=True)
class Finish:
    """Turns a front into files.

    Attributes:
        folder: the run folder; models go to `models/ID/`.
        journal: remembers what was measured, so that a broken export goes on.
        formats: further files of each model, see `hwnas.export.formats`.
    """

    space: Space
    devices: Sequence[Device]
    evaluator: "Evaluator"
    supernet_digest: str
    folder: Path
    journal: Journal
    progress: Progress
    protocol: Protocol
    canary_reference_ms: Callable[[Device], float | None]
    formats: Sequence[str] = ()

    def run(self, front: Front) -> Settled:
        """Returns the members with the figures of the very files that were written.

        Each member's file is measured on its device, all in turns. A member whose p95 then breaks
        the target, that the gate refuses, or that another one now dominates, is dropped with the
        reason, and its folder removed.

        Raises:
            MeasurementError: a device could not measure a file.
        """
        gated: dict[str, Gated] = {}
        artefacts: dict[str, Path] = {}
        for done, member in enumerate(front.members):
            self.progress.step("export and check", done, len(front.members))
            artefacts[member.id], gated[member.id] = self._one(member)
        self.progress.step("export and check", len(front.members), len(front.members))
        with temporary_folder() as folder:
            twins = self._float_twins(front, folder)
            taken = self._measure(front, artefacts, twins)
        final = settled(front, gated, taken, competing(self.devices))
        for one in final.dropped:
            shutil.rmtree(self._place(str(one["id"])), ignore_errors=True)
        for member in final.members:
            twin = twin_figure(member, taken)
            remark = twin and twin_remark(member, twin, taken[member.id].latency_ms)
            if remark:
                self.progress.say(remark)
            self._write_manifest(member, gated[member.id], taken[member.id], artefacts[member.id].name, twin)
        return final

    def _float_twins(self, front: Front, folder: Path) -> dict[str, Path]:
        """Builds the floating-point twin of each quantized member, where its device runs such.

        A twin is timed alone, so any weights do, as wherever else times are taken.
        """
        return build_twins(
            front.members,
            self._device,
            lambda member: random_network(self._float_candidate(member).layers(0)),
            lambda member: self.journal.get("file", member.deploy_on, twin_name(member.id)) is not None,
            folder,
        )

    def _one(self, member: Member) -> tuple[Path, Gated]:
        """Builds one member's files in a folder that appears whole, and takes them through the gate."""
        prepared = self.evaluator.prepare(self._candidate(member), 0)
        device = self._device(member)
        place = self._place(member.id)
        fresh = place.with_name(f".{member.id}.tmp")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        artefact = device.build(prepared.network, fresh)
        metadata = self._metadata(member, device, artefact.name) | bits_metadata(prepared.network)
        export_onnx(prepared.network, fresh / MODEL_FILE, metadata)
        further = self._further(member, prepared, fresh, metadata)
        shutil.rmtree(place, ignore_errors=True)
        fresh.rename(place)
        return place / artefact.name, self._gate(member, prepared, place / MODEL_FILE, further)

    def _further(
        self, member: Member, prepared: "Prepared", folder: Path, metadata: dict[str, str]
    ) -> tuple[str, ...]:
        """Writes the further formats that were asked for; returns the names of their files."""
        size_px = prepared.layers[0].in_size_px
        files = []
        for name in self.formats:
            images, _ = next(iter(self.evaluator.batches("calibrate", size_px, _AGREEMENT_IMAGES)))
            path, reason = write_format(name, prepared, self.space, folder, images.numpy(), metadata)
            if path is None:
                self.progress.say(f"{member.id}: no {FORMATS[name]}: {reason}")
            else:
                files.append(path.name)
        return tuple(dict.fromkeys(files))

    def _gate(self, member: Member, prepared: "Prepared", path: Path, formats: tuple[str, ...] = ()) -> Gated:
        size_px = prepared.layers[0].in_size_px
        file = file_logits(path)
        some = list(self.evaluator.batches("calibrate", size_px, _AGREEMENT_IMAGES))
        agreement = check_agreement(
            np.concatenate([prepared.module(x).numpy() for x, _ in some]),
            np.concatenate([file(x.numpy()) for x, _ in some]),
            member.quantized,
            np.concatenate([y.numpy() for _, y in some]),
        )
        key = ("test", member.id)
        test = self.journal.get(*key)
        if test is None:
            batches = self.evaluator.batches("test", size_px, self.evaluator.settings.images)
            test = accuracy(file, ((x.numpy(), y.numpy()) for x, y in batches)).figure("test")
            self.journal.add(key, test)
        return Gated(agreement, test, formats)

    def _measure(
        self, front: Front, artefacts: Mapping[str, Path], twins: Mapping[str, Path]
    ) -> dict[str, Measurement]:
        """Returns the measurement of each member's file and twin, those of a device taken in turns."""
        taken: dict[str, Measurement] = {}
        for device in self.devices:
            mine = [member.id for member in front.members if member.deploy_on == device.name]
            files = {one: (artefacts[one], one) for one in mine}
            files |= {twin_name(one): (twins[one], one) for one in mine if one in twins}
            known = {name: self.journal.get("file", device.name, name) for name in files}
            by_id = {member.id: member for member in front.members}
            subjects: dict[str, list[str]] = {}
            for name, (_, one) in files.items():
                if known[name] is None:
                    of = self._candidate if name == one else self._float_candidate
                    subjects.setdefault(subject_key(of(by_id[one]).layers(0)), []).append(name)
            missing = {subject: names[0] for subject, names in subjects.items()}
            if missing:
                self.progress.step(f"measure files on {device.name}", 0, len(missing))
                paths = {subject: files[name][0] for subject, name in missing.items()}
                for result in measure_files(device, paths, self.protocol, self.canary_reference_ms(device)):
                    for name in subjects[result.subject]:
                        known[name] = result.to_json()
                        self.journal.add(("file", device.name, name), result.to_json())
                self.progress.step(f"measure files on {device.name}", len(missing), len(missing))
            taken |= {one: Measurement.of_json(entry) for one, entry in known.items() if entry}
        return taken

    def _write_manifest(
        self, member: Member, gate: Gated, taken: Measurement, artefact: str, twin: dict[str, Any] | None
    ) -> None:
        predicted = member.latency_ms[member.deploy_on].get("predicted")
        planned = self._device(member).planned_memory(self._candidate(member).layers(0))
        manifest = Manifest(
            id=member.id,
            architecture=member.architecture,
            bits=member.bits,
            deploy_on=member.deploy_on,
            accuracy_top1=gate.test,
            accuracy_top1_validate=member.accuracy_top1,
            latency_ms={member.deploy_on: manifest_figure(taken, predicted)},
            energy_mj=member.energy_mj,
            macs=member.macs,
            params=member.params,
            bitops=member.bitops,
            peak_memory_bytes=member.peak_memory_bytes,
            planned_memory=planned.to_json() if planned else None,
            agreement=gate.agreement,
            float_twin=twin,
            calibration=self._calibration,
            dataset=self.evaluator.dataset.name,
            supernet=self.supernet_digest,
        )
        files = dict.fromkeys([artefact, MODEL_FILE, *gate.formats])
        write_manifest(self._place(member.id), manifest, list(files))

    def _metadata(self, member: Member, device: Device, artefact: str) -> dict[str, str]:
        """What the ONNX file says of itself; latency is that of the same chain in the search."""
        dataset = self.evaluator.dataset
        claims = Claims(
            architecture=member.architecture,
            bits=member.bits,
            space_definition=self.space.definition,
            calibration=self._calibration,
            dataset=dataset.name,
            accuracy_top1=member.accuracy_top1,
            device=member.deploy_on,
            device_fingerprint=device.fingerprint().digest,
            artefact=None if artefact == MODEL_FILE else artefact,
            latency_ms=member.latency_ms[member.deploy_on],
            supernet=self.supernet_digest,
        )
        split = dataset.split("calibrate")
        reading = {
            "classes": json.dumps(list(dataset.class_names)),
            "input": json.dumps(
                {"mean": list(split.mean), "std": list(split.std), "range": "0..1", "layout": "NCHW"}
            ),
        }
        return {**claims.to_metadata(), **reading}

    @property
    def _calibration(self) -> str:
        return f"calibrate split of {self.evaluator.dataset.name}"

    def _candidate(self, member: Member) -> Candidates:
        return Candidates.of_json(self.space, [member.candidate_json])

    def _float_candidate(self, member: Member) -> Candidates:
        return Candidates.of_genomes(self.space, self._candidate(member).genomes)

    def _device(self, member: Member) -> Device:
        return next(one for one in self.devices if one.name == member.deploy_on)

    def _place(self, id: str) -> Path:
        return self.folder / "models" / id
