"""Tuning on the servers of a tracker: candidates are built here and timed there, by all at once."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from hwnas.profilers.tvm.intrinsics import prepare_tvm
from hwnas.profilers.tvm.making import TuningResult, tune_space
from hwnas.profilers.tvm.remote import RemoteTvm
from hwnas.profilers.tvm.remote_tracker import Address, lend, servers
from hwnas.profilers.tvm.tuning import TuningProgress, TuningSettings


def tune_remote(
    device: RemoteTvm,
    budget_s: float,
    settings: TuningSettings | None = None,
    on_progress: Callable[[TuningProgress], None] | None = None,
) -> TuningResult:
    """Returns the outcome of tuning the kernels of a remote device's space on its servers.

    The pack goes where the device looks for it, and is for processors of this kind alone.

    Raises:
        UnavailableError: the device is not usable.
        MeasurementError: no candidate could be built and run there.
    """
    return tune_space(
        device.space,
        budget_s,
        target=device.pack.target,
        settings=settings,
        packs=device.packs,
        processor=device.processor,
        remote=asdict(device.address),
        on_progress=on_progress,
    )


def rpc_runner(remote: Mapping[str, Any], timeout_s: float, min_repeat_ms: int) -> Any:
    """Returns a MetaSchedule runner that times candidates on the servers of a key, one on each.

    Args:
        remote: the fields of their `Address`.
        timeout_s: for one candidate, waiting for a server included.
        min_repeat_ms: how long each is timed.

    Raises:
        UnavailableError: no tracker answers, or it has no server.
    """
    from tvm.s_tir.meta_schedule.runner import EvaluatorConfig, RPCConfig, RPCRunner

    address = Address(**remote)
    return RPCRunner(
        rpc_config=RPCConfig(address.host, address.port, address.key, session_timeout_sec=int(timeout_s)),
        evaluator_config=EvaluatorConfig(number=3, repeat=1, min_repeat_ms=min_repeat_ms),
        f_create_session=_session,
        max_workers=len(servers(address)),
        initializer=prepare_tvm,
    )


def _session(config: Any) -> Any:
    """A session for one candidate; TVM's own way to ask for one may wait for ever."""
    address = Address(config.tracker_host, config.tracker_port, config.tracker_key)
    return lend(address, config.session_timeout_sec, config.session_timeout_sec).session
