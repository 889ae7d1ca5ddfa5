"""What the measuring worker calls for devices behind an RPC tracker."""

import os
import signal
import sys
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, final

from hwnas.profilers.measuring.runner import Runner
from hwnas.profilers.tvm.remote.tracker import Address, lend
from hwnas.profilers.tvm.stateful import StatefulRunner

_T = TypeVar("_T")

# The session in use, for as long as a network of it lives: it ends with its group, so that other
# workers and other people get their turn at the server.
_sessions: "weakref.WeakValueDictionary[Address, _Session]" = weakref.WeakValueDictionary()


def load(path: Path, settings: Mapping[str, Any]) -> Runner:
    """Returns a runner of the library on the server that this group has, or on the next free one.

    Settings are those of `remote.RemoteTvm`: `tracker`, `wait_s`, `session_s`, `threads`, `kind`.

    Raises:
        UnavailableError: no server came free.
        SystemExit: the server was lost; a fresh worker finds another.
    """
    os.environ.setdefault("TVM_NUM_THREADS", "1")
    address = Address(**settings["tracker"])
    session = _sessions.get(address)
    if session is None:
        _sessions[address] = session = _Session(address, settings)
    return _RemoteRunner(session, path)


@final
class _Session:
    """A server that is ours, and what has been sent to it."""

    def __init__(self, address: Address, settings: Mapping[str, Any]) -> None:
        # A server of TVM's never serves again after a session that broke off in the middle of a
        # call (0.27: the exception ends its listening thread), so ours end between two calls.
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit("stopped"))
        lent = lend(address, settings["wait_s"], settings["session_s"])
        self.remote, self.server = lent.session, lent.server
        self.device = self.remote.device(settings["kind"])
        self._sent = 0
        if settings["threads"] > 1:
            self.guarded(
                lambda: self.remote.get_function("runtime.config_threadpool")(1, settings["threads"])
            )

    def machine(self, path: Path) -> Any:
        """Returns TVM's virtual machine for a library, there."""
        from tvm import relax

        self._sent += 1
        name = f"{self._sent}{path.suffix}"
        self.remote.upload(str(path), target=name)
        return relax.VirtualMachine(self.remote.load_module(name), self.device)

    def guarded(self, action: Callable[[], _T]) -> _T:
        """Returns what an action gives; ends this process where it failed because the server is gone.

        The error alone does not tell: whether the server still answers does.
        """
        try:
            return action()
        except Exception as error:
            try:
                self.remote.get_function("runtime.RuntimeEnabled")
            except Exception:
                lines = str(error).strip().splitlines() or [type(error).__name__]
                raise SystemExit(f"the server {self.server} was lost: {lines[0][:120]}") from error
            raise


@final
class _RemoteRunner(Runner):
    def __init__(self, session: _Session, path: Path) -> None:
        self._session = session
        self._runner = session.guarded(lambda: StatefulRunner(session.machine(path), session.device))

    def run(self) -> None:
        """Runs the library once, there."""
        self._session.guarded(self._runner.run)

    def time_ms(self, calls: int) -> float:
        """Returns the mean time of so many calls by the server's clock."""
        return self._session.guarded(lambda: self._runner.time_ms(calls))

    def conditions(self) -> Mapping[str, str | int]:
        """Returns which server it is."""
        return {"server": self._session.server}
