"""A tracker and servers of TVM's RPC on loopback, for tests."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil

from hwnas.errors import UnavailableError
from hwnas.profilers.tvm.remote.tracker import Address, servers

_START_S = 60.0


class Farm:
    """Servers of one key; `stop` leaves no process behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # TVM imports it where it finds it, 2 CPU s a process.
        (folder / "torch.py").write_text('raise ImportError("kept out of servers")\n')
        self.processes: list[subprocess.Popen[bytes]] = []
        self.address = Address("127.0.0.1", free_port(), "board")
        self.servers: dict[str, subprocess.Popen[bytes]] = {}
        self._start("rpc_tracker", self.address.port)

    def add(self) -> str:
        """Starts one more server; returns its `HOST:PORT`."""
        port = free_port()
        extra = ("--tracker", self.address.tracker, "--key", self.address.key)
        self.servers[f"127.0.0.1:{port}"] = self._start("rpc_server", port, *extra)
        return f"127.0.0.1:{port}"

    def wait_for(self, count: int) -> None:
        """Waits until the tracker knows so many servers."""
        end = time.monotonic() + _START_S
        while time.monotonic() < end:
            try:
                if len(servers(self.address)) >= count:
                    return
            except UnavailableError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"no farm; see the logs in {self.folder}")

    def kill(self, server: str) -> None:
        """Ends a server and the sessions it serves, as a power cut would."""
        end_tree(self.servers.pop(server).pid)

    def loads(self) -> list[str]:
        """Returns what the logs say of each library that a server has loaded."""
        logs = [path.read_text() for path in self.folder.glob("rpc_server-*.log")]
        return [line for log in logs for line in log.splitlines() if "load_module" in line]

    def stop(self) -> None:
        """Ends all processes."""
        for process in self.processes:
            end_tree(process.pid)
            process.wait()

    def _start(self, what: str, port: int, *extra: str) -> "subprocess.Popen[bytes]":
        arguments = ("--host", "127.0.0.1", "--port", str(port), "--port-end", str(port + 1), *extra)
        with open(self.folder / f"{what}-{port}.log", "wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", f"tvm.exec.{what}", *arguments],
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": os.pathsep.join([str(self.folder), *sys.path])},
            )
        self.processes.append(process)
        return process


def end_tree(pid: int) -> None:
    """Kills a process and all that it started."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for one in family:
        try:
            one.kill()
        except psutil.NoSuchProcess:
            continue


def free_port() -> int:
    """Returns a port of loopback that nobody listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
