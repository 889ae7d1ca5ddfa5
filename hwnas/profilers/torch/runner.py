"""What the measuring worker calls for torch."""

import os
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, fx

from hwnas.profilers.measuring.runner import Runner
from hwnas.profilers.torch.graph import torch_module


def load(path: Path, settings: Mapping[str, Any]) -> Runner:
    """Returns a runner of the ONNX file, on a batch of one fixed random input, channels last.

    Settings, beside `threads`: `batch`; `provider`, cpu or cuda; `compile`, whether torch.compile
    makes one program of the network first; `cache`, the folder for what that writes.
    """
    torch.set_num_threads(settings["threads"])
    provider = settings["provider"]
    module = torch_module(path).to(provider)
    x = random_input(path, settings["batch"]).to(provider)
    program = _compiled(module, x, settings["cache"]) if settings["compile"] else None
    return TorchRunner(module, program, x, synchronize=provider == "cuda")


def random_input(path: Path, batch: int) -> Tensor:
    """Returns a fixed random input for an ONNX file [batch, C, H, W], channels last."""
    (entry,) = onnx.load(path, load_external_data=False).graph.input
    _, *sizes = (one.dim_value for one in entry.type.tensor_type.shape.dim)
    x = torch.randn(batch, *sizes, generator=torch.Generator().manual_seed(0))
    return x.contiguous(memory_format=torch.channels_last)


def _compiled(module: fx.GraphModule, x: Tensor, cache: str) -> Callable[[Tensor], Tensor]:
    """Returns one program for inputs of exactly this shape; made now, or found in the cache."""
    # Left alone, it would write to /tmp, and keep processes beside the one that measures.
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    # Without fullgraph it would quietly run eagerly what it cannot compile.
    program: Callable[[Tensor], Tensor] = torch.compile(module, fullgraph=True, dynamic=False)
    with torch.inference_mode():
        program(x)
    return program


class TorchRunner(Runner):
    """A module on the processor or the GPU, with its input.

    Attributes:
        program: what runs: the module, or what was compiled of it.
    """

    def __init__(
        self, module: fx.GraphModule, program: Callable[[Tensor], Tensor] | None, x: Tensor, synchronize: bool
    ) -> None:
        """Takes the module, the program compiled of it, and whether calls return before they are done."""
        self._module = module
        self.program = module if program is None else program
        self._compiled = program is not None
        self._x = x
        self._synchronize = synchronize

    def run(self) -> None:
        """Runs once; waits for the GPU."""
        with torch.inference_mode():
            self.program(self._x)
        if self._synchronize:
            torch.cuda.synchronize()

    def time_ms(self, calls: int) -> float:
        """Returns the mean time in ms: by the clock, on a GPU by its own events."""
        if not self._synchronize:
            return self._clocked_ms(calls)
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        with torch.inference_mode():
            start.record()
            for _ in range(calls):
                self.program(self._x)
            end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) / calls

    def breakdown(self, calls: int) -> Mapping[str, float] | None:
        """Returns the mean ms of each operation, timed one by one; None for what was compiled as a whole."""
        if self._compiled:
            return None
        stopwatch = _Stopwatch(self._module, self._synchronize)
        with torch.inference_mode():
            for _ in range(calls):
                stopwatch.run(self._x)
        return {name: total / calls for name, total in stopwatch.total_ms.items()}

    def _clocked_ms(self, calls: int) -> float:
        program, x = self.program, self._x
        with torch.inference_mode():
            start = time.perf_counter_ns()
            for _ in range(calls):
                program(x)
            return (time.perf_counter_ns() - start) / calls / 1e6


class _Stopwatch(fx.Interpreter):
    """Runs a module node by node and adds up the time of each."""

    def __init__(self, module: fx.GraphModule, synchronize: bool) -> None:
        super().__init__(module)
        self.total_ms: dict[str, float] = defaultdict(float)
        self._synchronize = synchronize

    def run_node(self, n: fx.Node) -> Any:
        start = time.perf_counter_ns()
        made = super().run_node(n)
        if self._synchronize:
            torch.cuda.synchronize()
        if "onnx" in n.meta:
            self.total_ms[n.meta["onnx"]] += (time.perf_counter_ns() - start) / 1e6
        return made
