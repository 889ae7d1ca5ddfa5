"""The tracker of remote devices: which servers it knows, and one of them for a while.

TVM's own client waits without end and tries a refused connection for a minute; here every wait has
a limit and every failure is a line that says what to do.
"""

import re
import socket
import struct
import time
from dataclasses import dataclass
from typing import Any

from hwnas.errors import InputError, UnavailableError, first_line

SCHEME = "rpc:"
_ANSWER_S = 5.0
_FORM = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^\s:/\[\]]+):(?P<port>[^\s:/]+)/(?P<key>.+)")


@dataclass(frozen=True)
class Address:
    """Where the servers of one kind of device are: a tracker, and their key there."""

    host: str
    port: int
    key: str

    @property
    def tracker(self) -> str:
        """The tracker as `HOST:PORT`, an IPv6 host in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.tracker}/{self.key}"


@dataclass(frozen=True)
class Lent:
    """A server that is ours until the session is dropped.

    Attributes:
        session: TVM's.
        server: `HOST:PORT`.
    """

    session: Any
    server: str


def parse_address(text: str) -> Address:
    """Returns the parts of `HOST:PORT/KEY`, with or without `rpc:` before it.

    Raises:
        InputError: it has another form, or a port or key that cannot be.
    """
    given = text.removeprefix(SCHEME)
    found = _FORM.fullmatch(given)
    if not found:
        raise InputError(
            f"a remote device must be rpc:HOST:PORT/KEY, such as rpc:192.168.1.5:9190/rasp4, but got "
            f"'{text}'; KEY is what its servers were started with, an IPv6 host stands in brackets"
        )
    port, key = found["port"], found["key"]
    if not (port.isdecimal() and 1 <= int(port) <= 65535):
        raise InputError(f"the port in '{text}' must be a number from 1 to 65535, but got '{port}'")
    if re.search(r"[\s:/]", key):
        raise InputError(f"the key in '{text}' must have no blank, ':' or '/', but got '{key}'")
    return Address(found["host"].strip("[]"), int(port), key)


def servers(address: Address) -> list[str]:
    """Returns `HOST:PORT` of every server that the tracker has under the key, busy ones too.

    Raises:
        UnavailableError: no tracker answers there, or it has none.
    """
    from tvm.rpc.base import TrackerCode

    with _tracker(address, _ANSWER_S) as connection:
        info = _asked(connection, address, [TrackerCode.SUMMARY])["server_info"]
    found = [f"{one['addr'][0]}:{one['addr'][1]}" for one in info if one["key"] == f"server:{address.key}"]
    if not found:
        others = sorted({one["key"].removeprefix("server:") for one in info})
        raise UnavailableError(
            f"the RPC tracker at {address.tracker} has no server with key '{address.key}' (it has: "
            f"{', '.join(others) or 'none'}); start one on the device, with TVM of the same version: "
            f"{server_command(address)}"
        )
    return sorted(found)


def lend(address: Address, wait_s: float, session_s: float) -> Lent:
    """Returns a server of the key that nobody uses, as soon as there is one.

    Args:
        address: the tracker and the key.
        wait_s: how long to wait for it.
        session_s: after which the server ends the session by itself.

    Raises:
        UnavailableError: no tracker answers, or no server came free in time.
    """
    from tvm import rpc
    from tvm.rpc.base import TrackerCode

    deadline = time.monotonic() + wait_s
    trouble = "others use them, or they are gone"
    while (left_s := deadline - time.monotonic()) > 0:
        with _tracker(address, left_s) as connection:
            try:
                host, port, key = _asked(connection, address, [TrackerCode.REQUEST, address.key, "", 1])
            except TimeoutError:
                break
        try:
            # The time limit must be a whole number in TVM's own servers for small boards.
            return Lent(rpc.connect(host, port, key, session_timeout=int(session_s)), f"{host}:{port}")
        except Exception as error:  # TVM raises several kinds for a server that went away meanwhile
            trouble = f"{host}:{port} does not answer: {first_line(error)[:200]}"
            time.sleep(0.5)
    raise UnavailableError(
        f"no server of {SCHEME}{address} came free within {wait_s:g} s ({trouble}); "
        f"see: python -m tvm.exec.query_rpc_tracker --host {address.host} --port {address.port}"
    )


def tracker_command(address: Address) -> str:
    """Returns the command that starts a tracker at an address."""
    return f"python -m tvm.exec.rpc_tracker --host {address.host} --port {address.port}"


def server_command(address: Address) -> str:
    """Returns the command that starts a server of the key, with what it opens to whom."""
    local = address.host in ("localhost", "::1") or address.host.startswith("127.")
    host = address.host if local else "ITS_ADDRESS"
    return (
        f"python -m tvm.exec.rpc_server --host {host} --tracker {address.tracker} --key {address.key} "
        "(TVM's RPC asks for no password: whoever reaches its ports runs code there, so bind it to loopback "
        "or to a network you trust)"
    )


def _tracker(address: Address, answer_s: float) -> socket.socket:
    """A connection to the tracker that has greeted us and answers within so long."""
    from tvm.rpc.base import RPC_TRACKER_MAGIC, recvall

    magic = struct.pack("<i", RPC_TRACKER_MAGIC)
    try:
        connection = socket.create_connection((address.host, address.port), timeout=_ANSWER_S)
    except OSError as error:
        raise UnavailableError(
            f"no RPC tracker at {address.tracker} ({error.strerror or error}); start one there: "
            f"{tracker_command(address)}; and on each device: {server_command(address)}"
        ) from error
    try:
        connection.sendall(magic)
        greeted = recvall(connection, len(magic)) == magic
        connection.settimeout(answer_s)
    except OSError:
        greeted = False
    if not greeted:
        connection.close()
        raise UnavailableError(
            f"what listens at {address.tracker} is no RPC tracker (a server, perhaps?); give the tracker's "
            f"address, or start one: {tracker_command(address)}"
        )
    return connection


def _asked(connection: socket.socket, address: Address, request: list[Any]) -> Any:
    """The tracker's answer; TimeoutError when it took too long."""
    from tvm.rpc.base import TrackerCode, recvjson, sendjson

    try:
        sendjson(connection, request)
        status, answer = recvjson(connection)
    except TimeoutError:
        raise
    except (OSError, ValueError) as error:
        raise UnavailableError(f"the RPC tracker at {address.tracker} went away: {error}") from error
    if status != TrackerCode.SUCCESS:
        raise UnavailableError(f"the RPC tracker at {address.tracker} refused: {answer}")
    return answer
