"""A run folder as a search writes it, with figures made up."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwnas.spaces import Candidates, get_space

DEVICES = ("cpu", "cpu-ort")


def make_run(folder: Path, num_models: int = 10) -> Path:
    rng = np.random.default_rng(0)
    models = some_models(num_models, rng)
    folder.mkdir(parents=True, exist_ok=True)
    exported = folder / "models" / models[0]["id"]
    exported.mkdir(parents=True)
    (exported / "model.onnx").write_bytes(b"")
    write(
        folder,
        "front.json",
        {
            "space": "demo",
            "devices": {device: {"runtime": "any"} for device in DEVICES},
            "objectives": ["accuracy_top1", "latency_ms"],
            "target_latency_ms": 5.0,
            "reference_point": {"accuracy_top1": 10.0, "latency_ms": 6.2},
            "hypervolume": 412.5,
            "candidates": models,
            "dropped": [{"id": "f00ba12345", "device": "cpu", "reason": "p95 of 5.4 ms missed the target"}],
        },
    )
    write(
        folder,
        "config.json",
        {"space": "demo", "seed": 0, "bits": [32, 8], "settings": {"rounds": 3, "data": None}},
    )
    write(
        folder,
        "environment.json",
        {
            "command": ["hwnas", "search", "--target-latency", "5ms"],
            "versions": {"numpy": "2.0"},
            "cpu": "Any (R)",
        },
    )
    write(folder, "predictors.json", predictors(rng))
    write(folder, "baselines.json", baselines(rng))
    (folder / "convergence.csv").write_text(convergence(), encoding="utf-8")
    return folder


def some_models(num_models: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    space = get_space("demo")
    bits = np.where(
        rng.random((num_models, len(space.slots))) < np.linspace(0, 1, num_models)[:, None], 8, 32
    )
    bits[-1] = 8
    candidates = Candidates.of_genomes(space, space.sample_genomes(num_models, rng), bits, bits)
    costs = candidates.costs()
    models = []
    for row, candidate in enumerate(candidates.unpack()):
        latency = 0.9 + 0.45 * row + rng.random() * 0.1
        accuracy = 80 + 16 * (1 - np.exp(-row / 3)) + rng.random()
        on = DEVICES[row % 2]
        models.append(
            {
                "id": candidate.id,
                "deploy_on": on,
                "architecture": candidate.architecture.to_json(),
                "bits": candidate.bits.to_json(),
                "accuracy_top1": figure(accuracy, 0.6, "measured", split="validate"),
                "accuracy_top1_test": figure(accuracy - 0.4, 0.6, "measured", split="test"),
                "latency_ms": {
                    device: figure(
                        latency * (1 if device == on else 1.25),
                        0.01 * latency,
                        "measured",
                        p95=latency * 1.3,
                        predicted=latency * (0.95 + 0.1 * rng.random()),
                    )
                    for device in DEVICES
                    if device == on or row % 3
                },
                "energy_mj": None,
                "size_bytes": int(costs.weight_bytes[row]),
                "macs": int(costs.macs[row]),
                "params": int(costs.params[row]),
                "bitops": int(costs.bitops[row]),
                "peak_memory_bytes": int(costs.peak_memory_bytes[row]),
            }
        )
    return models


def predictors(rng: np.random.Generator) -> dict[str, Any]:
    def pairs(n: int) -> list[tuple[float, float]]:
        return [(x, x * (1 + 0.03 * rng.standard_normal())) for x in (1 + 5 * rng.random(n)).tolist()]

    return {
        device: {
            "score": {
                "mape_percent": 2.31,
                "rmse": 0.11,
                "within_5_percent": 92.0,
                "within_10_percent": 100.0,
            }
            | {"spearman": 0.991, "kendall_tau": 0.94, "coverage_90": 0.91, "n": 60},
            "pairs": pairs(60),
            "verified": pairs(20),
            "margin": 1.1,
        }
        for device in DEVICES
    } | {
        "accuracy_top1": {
            "model": "gp",
            "score": {"rmse": 0.7, "spearman": 0.93, "n": 40},
            "pairs": [[x, x + rng.standard_normal() * 0.7] for x in (80 + 16 * rng.random(40)).tolist()],
        }
    }


def figure(value: float, half: float, kind: str, **more: Any) -> dict[str, Any]:
    return {
        "value": float(value),
        "kind": kind,
        "low": float(value - half),
        "high": float(value + half),
        **more,
    }


def baselines(rng: np.random.Generator) -> dict[str, Any]:
    def points(n: int, lift: float) -> list[tuple[float, float]]:
        return [(x, 80 + lift + 10 * (1 - np.exp(-x / 2))) for x in np.sort(1 + 4 * rng.random(n)).tolist()]

    margin = {"mean_points": 2.4, "standard_error": 0.3, "compared": 20, "better": 18}
    return {
        "random": {**margin, "points": points(20, 1)},
        "compound_scaled": {**margin, "points": points(8, 2)},
    }


def convergence() -> str:
    lines = [
        "round,stage,device,generation,evaluations,hypervolume,reference_accuracy_top1,reference_latency_ms"
    ]
    for number in range(1, 4):
        for device in DEVICES:
            base = 400 + 40 * number - 5 * len(device)
            lines += [
                f"{number},proposed,{device},{g},{400 * number + 40 * g},{base - 99 / (g + 1)},10,6"
                for g in range(12)
            ]
        lines.append(f"{number},measured,cpu+cpu-ort,0,{40 + 16 * number},{450 - 120 / number},10,6")
    return "\n".join(lines) + "\n"


def write(folder: Path, file: str, value: Any) -> None:
    (folder / file).write_text(json.dumps(value), encoding="utf-8")


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    return make_run(tmp_path / "demo-run")
