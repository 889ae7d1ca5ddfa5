"""A crew of processes of this machine, each with its own supernet and images."""

import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait

from hwnas.errors import HwnasError, InputError
from hwnas.supernet.evaluation.crew import Answer, Died, Ready, Task, Work, Worker

_CHILD = """\
import sys
sys.path[:] = {path!r}
from hwnas.supernet.evaluation.processes import serve
serve({pipe}, {file})
"""


class ProcessCrew:
    """Workers that are processes; on GPUs, each sees one of them alone.

    They are started by hand: a pool of the standard library is lost whole with one of its
    processes, and spawning runs the caller's main script again.
    """

    def __init__(self, work: Work, gpus: tuple[str, ...] = ()) -> None:
        """Takes what to do and the GPUs, as CUDA_VISIBLE_DEVICES names them, to be used in turns."""
        self._gpus = gpus
        self._hired = 0
        self._running: dict[int, _Running] = {}
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `close`)
        pickle.dump(work, self._file)
        self._file.flush()

    def hire(self) -> int:
        """Starts a process."""
        self._hired += 1
        ours, theirs = socket.socketpair()
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        gpu = ""
        if self._gpus:
            taken = [running.gpu for running in self._running.values()]
            gpu = environment["CUDA_VISIBLE_DEVICES"] = min(self._gpus, key=taken.count)
        pipe, file = theirs.fileno(), self._file.fileno()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-c", _CHILD.format(path=sys.path, pipe=pipe, file=file)],
                pass_fds=(pipe, file),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,  # Ctrl-C is for the process that the user sees
            )
        self._running[self._hired] = _Running(process, Connection(ours.detach()), gpu)
        return self._hired

    def give(self, worker: int, task: Task) -> None:
        """Sends a task."""
        with suppress(OSError):  # it is dead; `wait` will say so
            self._running[worker].connection.send(task)

    def wait(self) -> tuple[int, Answer]:
        """Returns what the next process that has something to say says."""
        by_connection = {running.connection: number for number, running in self._running.items()}
        connection = wait(list(by_connection))[0]
        assert isinstance(connection, Connection)
        number = by_connection[connection]
        try:
            answer: Answer = connection.recv()
        except (EOFError, OSError):
            return number, Died(self._running.pop(number).end())
        return number, answer

    def close(self) -> None:
        """Kills all processes."""
        for running in self._running.values():
            running.process.kill()
        for running in self._running.values():
            running.end()
        self._running.clear()
        self._file.close()


@dataclass(frozen=True)
class _Running:
    process: "subprocess.Popen[bytes]"
    connection: Connection
    gpu: str

    def end(self) -> str:
        """Waits for a process that has hung up; returns how it ended."""
        self.connection.close()
        try:
            code = self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        return f"killed by signal {-code}" if code < 0 else f"exit code {code}"


def serve(pipe: int, file: int) -> None:
    """Does the work of the file until the other end of the pipe is closed; runs in the process."""
    threading.Thread(target=_leave_when_alone, args=(pipe,), daemon=True).start()
    with Connection(pipe) as connection:
        try:
            work = pickle.loads(os.pread(file, os.fstat(file).st_size, 0))
            worker = Worker(work)
        except HwnasError as error:
            connection.send(error)
            return
        except Exception as error:  # whatever a space or data set of the user's own raises
            connection.send(InputError(f"a worker cannot start: {type(error).__name__}: {error}"))
            return
        answer: Answer = Ready()
        while True:
            connection.send(answer)
            task = connection.recv()
            try:
                answer = worker.evaluate(task)
            except HwnasError as error:
                answer = error


def _leave_when_alone(pipe: int) -> None:
    """Ends this process at once when the one that gives out work is gone."""
    poll = select.poll()
    poll.register(pipe, 0)  # nothing but a hang-up
    poll.poll()
    os.kill(os.getpid(), signal.SIGKILL)
