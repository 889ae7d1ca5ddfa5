"""Timing candidates of a search on the servers of a tracker, by all at once."""

from collections.abc import Mapping
from typing import Any

from hwnas.profilers.tvm.intrinsics import prepare_tvm
from hwnas.profilers.tvm.remote.tracker import Address, lend, servers


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
