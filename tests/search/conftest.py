"""A world without clocks or training: latencies and accuracies that are formulas."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwnas.profilers import Device, Fingerprint, GroupResult, Measurement, Meter, Protocol, Store, profile
from hwnas.profilers.measuring.meter import Canary
from hwnas.progress import Progress, Silent
from hwnas.search.loop import Search, SearchResult
from hwnas.search.run_folder import Journal, run_folder
from hwnas.search.settings import SearchSettings
from hwnas.spaces import Candidates, Layer, Network, Space, get_space
from hwnas.supernet import Evaluation


class FormulaMeter(Meter):
    """Reads the time that the artefact holds, and counts how often it is asked."""

    def __init__(self, device: "FormulaDevice") -> None:
        self.device = device

    def measure(self, artefacts: Mapping[str, Path], canary: Canary | None = None) -> GroupResult:
        results = []
        for subject, path in artefacts.items():
            self.device.asked.append(subject)
            latency = float(path.read_text())
            results.append(
                Measurement(
                    subject=subject,
                    device=self.device.name,
                    fingerprint=self.device.fingerprint().digest,
                    kind="measured",
                    latency_ms=latency,
                    p95_ms=latency * 1.05,
                    ci_low_ms=latency * 0.99,
                    ci_high_ms=latency * 1.01,
                    samples_ms=(latency,),
                    time="2026-01-01T00:00:00Z",
                    **self.device.energy(latency),
                )
            )
        return GroupResult(tuple(results))


class FormulaDevice(Device):
    """Launches cost 2 us, a million MACs 20 us, or 12 us at 8 bits."""

    runtime = "formula"
    kind = "measured"

    def __init__(
        self,
        name: str,
        bits: tuple[int, ...],
        factor: float = 1.0,
        machine: str = "here",
        power_w: float = 0.0,
    ) -> None:
        self.name, self.bits, self.factor, self.machine = name, bits, factor, machine
        self.power_w = power_w
        self.asked: list[str] = []

    def energy(self, latency_ms: float) -> dict[str, Any]:
        found = {"energy_mj": latency_ms * self.power_w, "energy_source": "modelled"}
        return found if self.power_w else {}

    def unavailable(self) -> str | None:
        return None

    def fingerprint(self) -> Fingerprint:
        return Fingerprint({"device": self.name, "machine": self.machine})

    def refusal(self, layer: Layer) -> str | None:
        return None

    def build(self, network: Network, folder: Path) -> Path:
        cost = sum(
            0.002 + op.macs * (1.2e-8 if layer.quantized else 2e-8)
            for layer in network.layers
            for op in layer.ops
        )
        path = folder / "model.txt"
        path.write_text(str(cost * self.factor))
        return path

    def meter(self, protocol: Protocol) -> AbstractContextManager[Meter]:
        return nullcontext(FormulaMeter(self))


@dataclass
class World:
    """Two devices of one machine, an accuracy that grows with depth, width and size, and counters."""

    folder: Path
    space: Space = field(default_factory=lambda: get_space("demo"))
    evaluated: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.devices = [FormulaDevice("one", (32,), 0.9), FormulaDevice("two", (32, 8))]

    def evaluate(self, candidates: Candidates, split: str) -> Iterator[Evaluation]:
        macs = candidates.costs().macs.astype(float)
        share = (candidates.weight_bits < 32).mean(axis=1)
        depth = (candidates.layer_ids >= 0).sum(axis=1)
        accuracy = 95 - 30 * np.exp(-macs / 2.5e6) + 0.1 * depth - 0.6 * share
        for name, value in zip(candidates.ids, accuracy.tolist(), strict=True):
            self.evaluated.append(name)
            yield Evaluation(name, value, 0.4, 6000, split)

    def settings(self, **change: object) -> SearchSettings:
        chosen: dict[str, Any] = {
            "target_latency_ms": 0.2,
            "initial_evaluations": 24,
            "profile_samples": 30,
            "rounds": 2,
            "evaluations_per_round": 8,
            "inner_evaluations": 400,
        }
        return SearchSettings(**{**chosen, **change})  # type: ignore[arg-type]

    def run(self, name: str = "run", **change: object) -> SearchResult:
        settings = self.settings(**change)
        with run_folder(self.folder / name, settings.to_json()) as journal:
            return self.run_with(journal, settings)

    def run_with(
        self, journal: Journal, settings: SearchSettings, progress: Progress | None = None
    ) -> SearchResult:
        with Store(self.folder / "store.sqlite") as store:
            return Search(
                space=self.space,
                devices=self.devices,
                evaluate=self.evaluate,
                measure=lambda device, candidates: profile(device, candidates, store),
                settings=settings,
                journal=journal,
                progress=progress or Silent(),
            ).run()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)
