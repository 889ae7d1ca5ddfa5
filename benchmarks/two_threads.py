"""Two threads on networks of a fraction of a millisecond: TVM and ONNX Runtime, threads awake or asleep.

    python benchmarks/two_threads.py [--networks 20] [--rounds 3] [--seed 0] [--parallel PACK]

Random demo subnets, fp32. Threads that have just worked spin for the next piece of work; a network
called again at once finds them awake, one called 30 times a second must wake them. So each network
is timed both ways, alone in its process: called in a row, and after a sleep of 2 ms. PACK is one
tuned for two threads (`tuning_budgets.py --threads 2`); without it TVM's kernels are serial ones.
Engines take turns; a ratio is the median over the rounds.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hwnas.profilers.tvm.device import TvmDevice
from hwnas.spaces import Candidates, get_space, random_network

ASLEEP_S = 0.002


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parallel", type=Path)
    arguments = parser.parse_args()
    space = get_space("demo")
    genomes = space.sample_genomes(arguments.networks, np.random.default_rng(arguments.seed))
    candidates = Candidates.of_genomes(space, genomes)
    devices = {"tvm serial": TvmDevice(space)}
    if arguments.parallel:
        devices["tvm parallel"] = TvmDevice(space, threads=2, schedules=arguments.parallel)
    with tempfile.TemporaryDirectory() as folder:
        paths: dict[str, list[str]] = {}
        for name, device in devices.items():
            device.prepare()
            paths[name] = []
            for row in range(len(candidates)):
                place = Path(folder, name, str(row))
                place.mkdir(parents=True)
                paths[name].append(str(device.build(random_network(candidates.layers(row), seed=row), place)))
        files = [str(Path(path).with_name("model.onnx")) for path in paths["tvm serial"]]
        engines = {name: (1 if name == "tvm serial" else 2, built) for name, built in paths.items()}
        engines |= {"ort 1": (1, files), "ort 2": (2, files)}
        rounds = [
            {name: taken(name, threads, built) for name, (threads, built) in engines.items()}
            for _ in range(arguments.rounds)
        ]
    for way in ("awake", "asleep"):
        for name in engines:
            if name != "ort 2":
                show(f"{way}: {name} over ort 2", [(one[name][way], one["ort 2"][way]) for one in rounds])


def taken(engine: str, threads: int, paths: list[str]) -> dict[str, list[float]]:
    """Returns the median ms of each network, awake and asleep, from a process of its own."""
    command = [sys.executable, __file__, "--in-process", engine, str(threads), *paths]
    environment = {**os.environ, "TVM_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def show(title: str, rounds: list[tuple[list[float], list[float]]]) -> None:
    """Prints the geometric mean over the networks."""
    ratios = [
        statistics.median(ours[row] / theirs[row] for ours, theirs in rounds)
        for row in range(len(rounds[0][0]))
    ]
    mean = math.exp(statistics.fmean(map(math.log, ratios)))
    print(f"{title}: geometric mean {mean:.3f}, from {min(ratios):.3f} to {max(ratios):.3f}")


def in_process(engine: str, threads: int, paths: list[str]) -> None:
    """Times the networks one after the other, each alone, and prints the medians."""
    load = _tvm if engine.startswith("tvm") else _onnx_runtime
    found: dict[str, list[float]] = {"awake": [], "asleep": []}
    for path in paths:
        run = load(path, threads)
        for _ in range(200):
            run()
        found["awake"].append(statistics.median(_once_ms(run) for _ in range(300)))
        asleep = []
        for _ in range(100):
            time.sleep(ASLEEP_S)
            asleep.append(_once_ms(run))
        found["asleep"].append(statistics.median(asleep))
        del run
        time.sleep(0.3)
    print(json.dumps(found))


def _once_ms(run: Callable[[], object]) -> float:
    begun = time.perf_counter_ns()
    run()
    return (time.perf_counter_ns() - begun) / 1e6


def _tvm(path: str, threads: int) -> Callable[[], object]:
    # TVM's own default, not the short spin of hwnas's workers.
    os.environ.setdefault("TVM_THREAD_POOL_SPIN_COUNT", "300000")
    from hwnas.profilers.tvm.runner import load

    return load(Path(path), {"threads": threads}).run


def _onnx_runtime(path: str, threads: int) -> Callable[[], object]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    shape = [size if isinstance(size, int) else 1 for size in entry.shape]
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    return lambda: session.run(None, {entry.name: x})


if __name__ == "__main__":
    if sys.argv[1:2] == ["--in-process"]:
        in_process(sys.argv[2], int(sys.argv[3]), sys.argv[4:])
    else:
        main()
