"""Are networks assembled from kernels compiled once as good as networks compiled whole, and what is saved?

    python benchmarks/compile_once.py [--space demo|FILE.yaml] [--networks 20] [--rounds 7]

Random subnets of a space: assembled, and lowered by Relax with the same schedules and compiled
as a whole. Outputs must be equal to the last bit. Both are timed in turns in one process on one core.
The CPU seconds are those of a fresh cache; run it with a new `HWNAS_HOME`.
"""

import argparse
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.profilers.tvm.compiled.assemble import export, network_weights, program
from hwnas.profilers.tvm.compiled.library import Library
from hwnas.profilers.tvm.device import TvmDevice
from hwnas.profilers.tvm.kernels import emit
from hwnas.profilers.tvm.kernels.packs import Pack
from hwnas.profilers.tvm.kernels.plan import kernel_key, kernels_of, scheduled_kernel, space_layers
from hwnas.spaces import Candidates, Network, open_space, random_network

CALLS = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", default="demo")
    parser.add_argument("--networks", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-1:])
    space = open_space(arguments.space)
    device = TvmDevice(space)
    start = time.process_time()
    library = device._compiled(space_layers(space))
    print(f"the space, once: {time.process_time() - start:.1f} CPU s")
    functions = kernels_of(space_layers(space)).functions
    genomes = space.sample_genomes(arguments.networks, np.random.default_rng(0))
    candidates = Candidates.of_genomes(space, genomes)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for row in range(len(candidates)):
            network = random_network(candidates.layers(row), seed=row)
            path = Path(folder) / str(row)
            rows.append(compared(network, library, functions, device.pack, path, arguments.rounds))
    ready, exported, compiled, ratios = zip(*rows, strict=True)
    print(f"a subnet ready to be measured: {statistics.median(ready):.3f} CPU s")
    print(f"a subnet exported as a library: {statistics.median(exported):.3f} CPU s")
    print(f"a subnet compiled as a whole: {statistics.median(compiled):.2f} CPU s")
    mean = math.exp(statistics.fmean(math.log(ratio) for ratio in ratios))
    print(f"assembled / whole: {mean:.4f} ({min(ratios):.3f} to {max(ratios):.3f}); all outputs equal")


def compared(
    network: Network,
    library: Library,
    functions: Mapping[str, Any],
    pack: Pack,
    path: Path,
    rounds: int,
) -> tuple[float, float, float, float]:
    """Returns CPU s to assemble, to export and to compile as a whole, and the ratio of their times."""
    import tvm
    from tvm import relax

    weights = [tvm.runtime.tensor(one) for one in network_weights(network, library.plan)]
    _, ready_s = timed(lambda: program(network, library))
    _, export_s = timed(lambda: export(network, library, path.with_suffix(".so")))
    executable, compile_s = timed(lambda: compiled_whole(network, functions, pack, weights))
    executable.export_library(str(path.with_suffix(".whole.so")))
    x = tvm.runtime.tensor(np.random.default_rng(0).standard_normal(network.input_shape).astype(np.float32))
    mains, outputs = [], []
    for suffix in (".so", ".whole.so"):
        machine = relax.VirtualMachine(tvm.runtime.load_module(str(path.with_suffix(suffix))), tvm.cpu())
        machine.set_input("main", x)
        mains.append(machine["invoke_stateful"])
        mains[-1]("main")
        outputs.append(machine.get_outputs("main").numpy()[:, : network.layers[-1].out_channels])
    np.testing.assert_array_equal(*outputs)
    times: list[list[float]] = [[], []]
    for _ in range(rounds):
        for main, some in zip(mains, times, strict=True):
            start = time.perf_counter_ns()
            for _ in range(CALLS):
                main("main")
            some.append((time.perf_counter_ns() - start) / CALLS)
    ratio = statistics.median(a / b for a, b in zip(*times, strict=True))
    return ready_s, export_s, compile_s, ratio


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    """Returns what a function returns, and its CPU seconds."""
    start = time.process_time()
    value = function()
    return value, time.process_time() - start


def compiled_whole(network: Network, functions: Mapping[str, Any], pack: Pack, weights: list[Any]) -> Any:
    """Returns TVM's executable of the network, lowered and fused by Relax as a whole."""
    import tvm
    from tvm.relax import transform

    fused = tvm.transform.Sequential(
        [
            transform.LegalizeOps(),
            transform.AnnotateTIROpPattern(),
            transform.FoldConstant(),
            transform.FuseOps(),
            transform.FuseTIR(),
            transform.DeadCodeElimination(),
        ]
    )
    target = pack.target.to_tvm()
    with target:
        module = fused(emitted(network))
        names = [one.name for one in module["main"].params[1:]]
        module = transform.BindParams("main", dict(zip(names, weights, strict=True)))(module)
        for name, function in module.functions.items():
            if isinstance(function, tvm.tirx.PrimFunc):
                key = kernel_key(function)
                # Schedules find blocks by their names, which are those of the space's kernels.
                scheduled = scheduled_kernel(functions[key], pack.schedules.get(key), key, pack.target)[
                    "main"
                ]
                module[name] = scheduled.with_attr("global_symbol", name.name_hint).with_attr(
                    "tirx.is_scheduled", True
                )
    return tvm.compile(module, target)


def emitted(network: Network) -> Any:
    """Returns a module whose `main` computes the whole network; of the image and all weights."""
    from tvm import relax

    layers = network.layers
    builder = relax.BlockBuilder()
    image = emit._variable("x", emit.input_shape(layers[0], first=True))
    weights = [
        [emit._variable(f"w{index}_{i}", shape) for i, shape in enumerate(emit.weight_shapes(layer))]
        for index, layer in enumerate(layers)
    ]
    with builder.function("main", [image, *(one for some in weights for one in some)]):
        with builder.dataflow():
            value = image
            for index, (layer, some) in enumerate(zip(layers, weights, strict=True)):
                value = emit._emit_ops(builder, layer, value, list(some), index == 0)
            out = builder.emit_output(value)
        builder.emit_func_output(out)
    return builder.get()


if __name__ == "__main__":
    main()
