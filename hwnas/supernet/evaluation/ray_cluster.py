"""A crew of actors on a Ray cluster: the machines of a network, or this one alone."""

import importlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from hwnas.errors import HwnasError, InputError, UnavailableError
from hwnas.supernet.evaluation.crew import Answer, Died, Ready, Task, Work, Worker
from hwnas.supernet.evaluation.settings import Evaluation
from hwnas.version import __version__

INSTALL = f"pip install 'hwnas[ray]=={__version__}'"
_CONNECT_SECONDS = 10.0


class RayCrew:
    """Workers that are actors, each on one core, or on one core and one GPU.

    Ray does not restart them: that a dead one is replaced, and how often, is decided in
    `shared_out`, as for any other crew.
    """

    def __init__(self, ray: Any, work: Work) -> None:
        """Puts the work, weights included, into the object store of a cluster we are connected to."""
        self._ray = ray
        self._exceptions = importlib.import_module("ray.exceptions")
        self._work = ray.put(work)
        num_gpus = int(work.settings.torch_device == "cuda")
        self._actor = ray.remote(num_cpus=1, num_gpus=num_gpus, max_restarts=0)(_Actor)
        self._hires = 0
        self._hired: dict[int, Any] = {}
        self._asked: dict[Any, int] = {}

    def hire(self) -> int:
        """Asks the cluster for an actor; it starts when there is room."""
        self._hires += 1
        actor = self._hired[self._hires] = self._actor.remote()
        self._asked[actor.open.remote(self._work, _versions(), str(Path.cwd()))] = self._hires
        return self._hires

    def give(self, worker: int, task: Task) -> None:
        """Calls an actor."""
        self._asked[self._hired[worker].evaluate.remote(task)] = worker

    def wait(self) -> tuple[int, Answer]:
        """Returns what came of the next call that ends."""
        [ended], _ = self._ray.wait(list(self._asked), num_returns=1)
        number = self._asked.pop(ended)
        try:
            answer: Answer = self._ray.get(ended)
        except self._exceptions.RayError as error:
            self._ray.kill(self._hired.pop(number))
            return number, Died(_reason(error))
        return number, answer

    def close(self) -> None:
        """Ends all actors."""
        for actor in self._hired.values():
            self._ray.kill(actor)
        self._hired.clear()
        self._asked.clear()


class _Actor:
    """A worker on a machine of the cluster; errors of ours are answers, others end it."""

    def open(self, work: Work, versions: dict[str, str], folder: str) -> Ready | HwnasError:
        if versions != _versions():
            return InputError(
                f"Ray worker on {socket.gethostname()} must have {_listed(versions)} as here, but has "
                f"{_listed(_versions())}; install the same on every machine, with {INSTALL}"
            )
        if Path(folder).is_dir():
            os.chdir(folder)  # relative paths of data
        try:
            self._worker = Worker(work)
        except HwnasError as error:
            return InputError(f"Ray worker on {socket.gethostname()}: {error}")
        return Ready()

    def evaluate(self, task: Task) -> Evaluation | HwnasError:
        try:
            return self._worker.evaluate(task)
        except HwnasError as error:
            return error


@contextmanager
def connected(address: str, num_cpus: int | None = None) -> Iterator[Any]:
    """Yields the module `ray`, connected to a cluster; where it is connected already, to that one.

    Args:
        address: as `ray.init` takes it: `HOST:PORT`, `ray://HOST:PORT`, `auto` for the one that
            runs on this machine, or `local` for one that lasts as long as this.
        num_cpus: cores of a local cluster.

    Raises:
        UnavailableError: Ray is not installed.
        InputError: no cluster answers there, or one of another version.
    """
    # Ray reports use of its clusters to its makers unless told not to.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else it warns of a change to come
    try:
        ray = importlib.import_module("ray")
    except ImportError as error:
        raise UnavailableError(f"--ray needs the package ray ({error}); {INSTALL}") from error
    if ray.is_initialized():
        yield ray
        return
    _knock(address)
    local: dict[str, Any] = {"num_cpus": num_cpus, "include_dashboard": False} if address == "local" else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", **local)
    except (
        ConnectionError,
        RuntimeError,
        ValueError,
        TimeoutError,
        ImportError,
        ray.exceptions.RayError,
    ) as error:
        first = str(error).strip().partition("\n")[0]
        raise InputError(
            f"no Ray cluster that can be used at '{address}' ({first}); start one with `ray start --head`, "
            f"with the same Python, {INSTALL} and the cluster's token, where it asks for one, on every "
            "machine, or use --ray local or auto"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def room(ray: Any, torch_device: str) -> int:
    """Returns how many workers fit into a cluster.

    Raises:
        InputError: none.
    """
    resource = "GPU" if torch_device == "cuda" else "CPU"
    found = int(ray.cluster_resources().get(resource, 0))
    if found < 1:
        raise InputError(f"the Ray cluster has no {resource} to give; start a machine of it that has one")
    return found


def _knock(address: str) -> None:
    """Raises InputError where nothing listens: Ray itself would try for minutes and end the process."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not (colon and port.isdigit()):
        if address not in ("local", "auto"):
            raise InputError(
                f"--ray must be local, auto, HOST:PORT or ray://HOST:PORT, but got '{address}'; `ray start "
                "--head` prints the address"
            )
        return
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise InputError(
            f"no Ray cluster answers at '{address}' ({error}); start one with `ray start --head`, or use "
            "--ray local"
        ) from error


def _versions() -> dict[str, str]:
    return {"hwnas": __version__, "torch": torch.__version__.partition("+")[0]}


def _listed(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1][:300]}" if lines else type(error).__name__
