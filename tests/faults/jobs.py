"""The jobs that faults befall: small, each with what it must end with whatever befell it."""

import json
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.supernet import load_supernet

from .running import ran

_SOME = "--images 50 --calibrate-images 50 --batch-size 50"
_SEARCH = "search --target-latency 25ms --evaluations 24 --images 50"
_QUICK = f"{_SEARCH} --samples 12 --additive"
# Half of its measurements are chosen where they tell most.
_CHOOSING = f"{_SEARCH} --samples 24"
SIMULATED = "fpga-kv260-dpu"
_TORCHRUN = "torchrun --standalone --nproc-per-node 2"
SMALL = "small.yaml"
# Its few kernels are compiled and tuned in seconds.
_SMALL = """
name: small
image_sizes: [16]
stem: {width: 8}
stages:
  - {width: 8, depth: [1, 2], kernel: [3, 5], expand: [1, 2], stride: 2}
head: {width: 16}
num_classes: 10
"""
# What differs from run to run: when it was, and what a clock measured.
_TIMES = {"time", "started", "seconds", "newly_measured", "repeated", "groups", "report", "run", "predictor"}


@dataclass(frozen=True)
class Job:
    """A command and what of its result does not depend on the clock.

    Attributes:
        line: the words behind `hwnas`, or a launcher and what it starts; run in a place of its own.
        outcome: a place and standard output to what must be the same each time.
        needs: folders of the world that it changes, so that each place needs a copy.
        same_store: its figures are measured: an unbroken run on the same store must agree.
    """

    name: str
    line: str
    outcome: Callable[[Path, str], Any]
    needs: tuple[str, ...] = ()
    same_store: bool = False

    @property
    def words(self) -> list[str]:
        """The words of the command."""
        return shlex.split(self.line)


def jobs(world: Path) -> dict[str, Job]:
    """Returns the jobs by name, on the files that `make_world` put into a folder."""
    train = f"train --data cifar10:{world / 'cifar'} --epochs 1 --batch-size 40 --subnets 0 --threads 1"
    evaluate, chosen = f"evaluate --sample 60 {_SOME} -o results.csv", "--select fastest --select best"
    on_tvm = f"profile --space {world / SMALL} --device cpu --json"
    out = "--checkpoint-every 0.1s -o net.safetensors"
    every = [
        Job("train", f"{train} {out}", _trained),
        Job("train, 2 processes", f"{_TORCHRUN} -m hwnas {train} {out}", _trained),
        Job("evaluate", evaluate, _evaluated),
        Job("evaluate, 2 processes", f"{evaluate} --workers 2", _evaluated),
        Job("profile", "profile --device sleeper --samples 80 --json", _profiled),
        Job("profile, simulated", f"profile --device {SIMULATED} --samples 120 --json", _profiled_exactly),
        Job("profile, cpu-ort", "profile --device cpu-ort --samples 12 --json", _profiled),
        Job("profile, cpu", f"{on_tvm} --samples 3", _profiled),
        Job("profile, cpu, tuned", f"{on_tvm} --samples 3 --tune-budget 20s", _profiled),
        Job("search", f"{_QUICK} --device {SIMULATED} --no-export -o run", _searched),
        Job(
            "search, measured", f"{_CHOOSING} --device sleeper --no-export -o run", _searched, same_store=True
        ),
        Job("export", f"export run {chosen} -o models", _exported_exactly, needs=("run",)),
        Job("export, cpu-ort", f"export run-ort {chosen} -o models", _exported, needs=("run-ort",)),
    ]
    return {job.name: job for job in every}


def make_world(world: Path) -> None:
    """Makes the files that jobs read: images, and a run of each kind to export from."""
    if (world / "ready").exists():
        return
    folder = world / "cifar"
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for name in [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]:
        content = rng.integers(0, 256, (150, 3073), dtype=np.uint8)
        content[:, 0] = rng.integers(0, 10, 150)
        (folder / name).write_bytes(content.tobytes())
    (world / SMALL).write_text(_SMALL)
    for run, device in (("run", SIMULATED), ("run-ort", "cpu-ort")):
        if not (world / run / "front.json").exists():
            made = ran(f"{_QUICK} --device {device} --no-export -o {world / run}".split(), world / "making")
            assert made.code == 0, made.err
    (world / "ready").touch()


def settle(job: Job, world: Path, place: Path) -> None:
    """Makes an empty place for a job, with copies of what it needs."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for name in job.needs:
        shutil.copytree(world / name, place / name)


def _trained(place: Path, _out: str) -> Any:
    # Not the bytes: the library that writes the file puts its metadata in any order.
    supernet = load_supernet(place / "net.safetensors")
    return [supernet.digest(), repr(supernet.info)]


def _evaluated(place: Path, _out: str) -> Any:
    return sorted((place / "results.csv").read_text().splitlines())


def _profiled(_place: Path, out: str) -> Any:
    found = json.loads(out)
    return [found[name] for name in ("device", "space", "measured")]


def _profiled_exactly(_place: Path, out: str) -> Any:
    return _without_times(json.loads(out))


def _searched(place: Path, _out: str) -> Any:
    return _without_times(json.loads((place / "run" / "front.json").read_text()))


def _exported_exactly(place: Path, _out: str) -> Any:
    manifests = sorted((place / "models" / "models").glob("*/manifest.json"))
    return [_without_times(json.loads(path.read_text())) for path in manifests]


def _exported(place: Path, _out: str) -> Any:
    manifests = sorted((place / "models" / "models").glob("*/manifest.json"))
    figures = {"latency_ms", "energy_mj", "float_twin"}
    found = [json.loads(path.read_text()) for path in manifests]
    return [{name: value for name, value in one.items() if name not in figures} for one in found]


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_times(one) for name, one in value.items() if name not in _TIMES}
    if isinstance(value, list):
        return [_without_times(one) for one in value]
    return value
