"""How fast are the compiled networks of device `cpu` beside ONNX Runtime's of `cpu-ort`?

    python benchmarks/tvm_vs_ort.py [--space demo|FILE.yaml] [--networks 20] [--rounds 5] [--seed 0]
        [--threads 1] [--bits 32] [--schedules PACK...]

Random subnets that were never tuned as networks, batch 1. Each engine has a process of its own; they
take turns, all networks one after the other, with a pause so that neither hears the other's last
thread spin. A network's ratio is the median over the rounds, each of which compares two times taken
seconds apart; machines drift, ratios do not. With `--schedules` several packs, such as those that
`tuning_budgets.py` keeps, are measured in the same rounds. `--bits 8` quantizes all layers, with
unsigned activations on both sides.
"""

import argparse
import math
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from hwnas.profilers.device import Device
from hwnas.profilers.machine.placement import Placement
from hwnas.profilers.measuring.meter import Meter
from hwnas.profilers.measuring.protocol import Protocol
from hwnas.profilers.ort.device import OnnxRuntimeDevice
from hwnas.profilers.tvm.device import TvmDevice
from hwnas.spaces import Candidates, Network, Space, open_space, random_network

ORT = "cpu-ort"
PAUSE_S = 0.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", default="demo")
    parser.add_argument("--networks", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bits", type=int, default=32, choices=(32, 8))
    parser.add_argument("--schedules", type=Path, nargs="*", default=[])
    arguments = parser.parse_args()
    space = open_space(arguments.space)
    genomes = space.sample_genomes(arguments.networks, np.random.default_rng(arguments.seed))
    candidates = Candidates.of_genomes(space, genomes, arguments.bits, arguments.bits)
    networks = [random_network(candidates.layers(row), seed=row) for row in range(len(candidates))]
    devices = engines(space, arguments.threads, arguments.schedules)
    for name, device in devices.items():
        start = time.process_time()
        device.prepare()
        if isinstance(device, TvmDevice):
            flops, expected = device.tuned_percent() or (0.0, 0.0)
            print(
                f"{name}: {device.pack.id}, {time.process_time() - start:.1f} CPU s to compile, "
                f"{flops:.0f} % of operations tuned, {expected:.0f} % of expected time"
            )
    times_ms = measured(devices, networks, arguments.rounds)
    for name in devices:
        if name != ORT:
            show(name, networks, times_ms[name], times_ms[ORT])


def engines(space: Space, threads: int, schedules: list[Path]) -> dict[str, Device]:
    """Returns the devices by name: one for each pack, or one with the pack in use; and ONNX Runtime."""
    packs: list[Path | None] = [*schedules] or [None]
    found: dict[str, Device] = {
        path.name.split(".")[0] if path else "cpu": TvmDevice(space, threads=threads, schedules=path)
        for path in packs
    }
    return {**found, ORT: OnnxRuntimeDevice(ORT, Placement(threads=threads))}


def measured(
    devices: dict[str, Device], networks: list[Network], rounds: int
) -> dict[str, list[list[float]]]:
    """Returns the median latency in ms by engine, [networks][rounds], as the clock told it."""
    protocol = Protocol(samples_least=40, samples_most=80, subject_ms=60.0, group_size=len(networks))
    times_ms: dict[str, list[list[float]]] = {name: [[] for _ in networks] for name in devices}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        artefacts: dict[str, dict[str, Path]] = {}
        meters: dict[str, Meter] = {}
        for name, device in devices.items():
            start = time.process_time()
            artefacts[name] = built(device, networks, Path(folder) / name)
            print(f"{name}: {(time.process_time() - start) / len(networks):.3f} CPU s to build one network")
            meters[name] = stack.enter_context(device.meter(protocol))
        for _ in range(rounds):
            for name, meter in meters.items():
                found = {one.subject: one.latency_ms for one in meter.measure(artefacts[name]).measurements}
                for network, times in zip(networks, times_ms[name], strict=True):
                    times.append(found[network.key])
                time.sleep(PAUSE_S)
    return times_ms


def built(device: Device, networks: list[Network], folder: Path) -> dict[str, Path]:
    """Returns the artefacts by subject key."""
    paths = {}
    for network in networks:
        place = folder / network.key
        place.mkdir(parents=True)
        paths[network.key] = device.build(network, place)
    return paths


def show(
    name: str, networks: list[Network], ours_ms: list[list[float]], theirs_ms: list[list[float]]
) -> None:
    """Prints a line a network and the geometric mean."""
    ratios = []
    print(f"network     px  layers  {name} us  {ORT} us  ratio")
    for network, ours, theirs in zip(networks, ours_ms, theirs_ms, strict=True):
        ratios.append(statistics.median(a / b for a, b in zip(ours, theirs, strict=True)))
        print(
            f"{network.key[:10]}  {network.input_shape[2]:3d}  {len(network.layers):6d} "
            f"{1e3 * statistics.median(ours):8.1f}  {1e3 * statistics.median(theirs):10.1f}  {ratios[-1]:.3f}"
        )
    mean = math.exp(statistics.fmean(math.log(ratio) for ratio in ratios))
    print(f"{name}: geometric mean {mean:.3f}, from {min(ratios):.3f} to {max(ratios):.3f}")


if __name__ == "__main__":
    main()
