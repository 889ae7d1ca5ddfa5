"""The builder of tuning candidates: TVM's own restarts its workers for every batch, at 2 to 7 CPU s."""

import tempfile
from pathlib import Path
from typing import Any

from hwnas.profilers.tvm.compiled.cross import artefact_format
from hwnas.profilers.tvm.intrinsics import prepare_tvm


def build_candidate(module: Any, target: Any, triple: str) -> str:
    """Returns the path of a candidate kernel compiled to a library, in a folder of its own.

    With a triple it is for another machine; the process that times it links what is a tar.

    Runs in a worker. TVM's default build imports every tensor intrinsic first; float kernels need none.
    """
    import tvm
    from tvm.s_tir.transform import RemoveWeightLayoutRewriteBlock
    from tvm.support.tar import tar

    module = RemoveWeightLayoutRewriteBlock(skip_tensor_rewrite=True)(module)
    suffix, maker = artefact_format(triple) if triple else (".tar", None)
    path = Path(tempfile.mkdtemp(prefix="hwnas-tune-")) / f"kernel{suffix}"
    tvm.driver.build(module, target=target).export_library(str(path), fcompile=maker or tar)
    return str(path)


def lasting_builder(workers: int, timeout_s: float, triple: str = "") -> Any:
    """Returns a MetaSchedule builder whose workers live for many batches.

    Workers leak memory slowly, so each is replaced after a while; one that dies costs its candidate.

    Args:
        workers: processes.
        timeout_s: for one candidate.
        triple: of the machine that will run it; empty for this one.
    """
    from tvm.ir.utils import derived_object
    from tvm.s_tir.meta_schedule.builder import BuilderResult, PyBuilder
    from tvm.support.popen_pool import PopenPoolExecutor, StatusKind

    class LastingBuilder(PyBuilder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.pool = PopenPoolExecutor(
                max_workers=workers, timeout=timeout_s, initializer=prepare_tvm, maximum_process_uses=300
            )

        def build(self, build_inputs: list[Any]) -> list[Any]:
            jobs = [(job.mod, job.target, triple) for job in build_inputs]
            results = self.pool.map_with_error_catching(lambda job: build_candidate(*job), jobs)
            return [
                BuilderResult(result.value, None)
                if result.status == StatusKind.COMPLETE
                else BuilderResult(None, f"building failed: {result.status.name}\n{result.value}")
                for result in results
            ]

    return derived_object(LastingBuilder)()
