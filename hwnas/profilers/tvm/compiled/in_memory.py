"""Networks without a linker: byte code in a file, and kernels made ready in the process that runs them."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from hwnas import files
from hwnas.profilers.tvm.compiled.assemble import program
from hwnas.profilers.tvm.compiled.library import Library
from hwnas.profilers.tvm.intrinsics import prepare_tvm
from hwnas.spaces import Network


def write_program(network: Network, library: Library, path: Path) -> None:
    """Writes the byte code of a network beside `path`, and there which kernels it calls.

    Args:
        network: what to write.
        library: its kernels, as LLVM code; they stay where they are.
        path: ends in `.json`.

    Raises:
        InputError: a layer the library has no kernels for.
    """
    prepare_tvm()
    import tvm

    builder, used = program(network, library)
    link = tvm.get_global_func("relax.VMLink")
    link(builder, library.target.to_tvm(), None, [], {}).write_to_file(str(path.with_suffix(".ro")))
    kernels = {key: str(library.object_file(key).resolve()) for key in used}
    files.write_json(path, {"program": path.with_suffix(".ro").name, "kernels": kernels})


def load_program(path: Path) -> Any:
    """Returns a network that `write_program` wrote, as TVM's module.

    A kernel takes some 0.05 CPU s, once a process.
    """
    import tvm

    written = json.loads(path.read_text(encoding="utf-8"))
    load = tvm.get_global_func("ffi.Module.load_from_file.relax.VMExecutable")
    module = load(str(path.parent / written["program"]))
    for file in written["kernels"].values():
        module.import_module(_kernel(file))
    return module


@cache
def _kernel(path: str) -> Any:
    import tvm

    return tvm.runtime.load_module(path)
