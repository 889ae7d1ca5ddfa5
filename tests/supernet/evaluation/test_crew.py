"""Who gets which task, whatever dies when; with a crew that is a script."""

from collections import deque
from dataclasses import dataclass, field
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.errors import HwnasError, InputError
from hwnas.progress import Stopped, keep_each
from hwnas.supernet import Evaluation
from hwnas.supernet.evaluation.crew import ATTEMPTS, Answer, Died, Ready, Task, shared_out

TASKS = [{"id": number} for number in range(6)]


@dataclass
class Scripted:
    """Workers answer in turns; `fates` says which of their answers are deaths."""

    fates: deque[bool]
    never: frozenset[int] = frozenset()  # tasks that kill
    hired: int = 0
    given: list[int] = field(default_factory=list)
    speaking: deque[tuple[int, int | None]] = field(default_factory=deque)
    closed: bool = False

    def hire(self) -> int:
        self.hired += 1
        self.speaking.append((self.hired, None))
        return self.hired

    def give(self, worker: int, task: Task) -> None:
        self.given.append(task["id"])
        self.speaking.append((worker, task["id"]))

    def wait(self) -> tuple[int, Answer]:
        worker, task = self.speaking.popleft()
        if task in self.never or (self.fates and self.fates.popleft()):
            return worker, Died("killed by signal 9")
        return worker, Ready() if task is None else Evaluation.of(str(task), 1, 2, "validate")

    def close(self) -> None:
        self.closed = True


def names(crew: Scripted, workers: int) -> list[str]:
    return sorted(one.id for one in shared_out(crew, TASKS, workers))


@given(st.integers(1, 8), st.sets(st.integers(0, 30), max_size=2))
def test_each_task_is_answered_once_whichever_worker_dies_when(workers: int, deaths: set[int]) -> None:
    crew = Scripted(deque(place in deaths for place in range(31)))
    assert names(crew, workers) == [str(task["id"]) for task in TASKS]
    assert crew.closed
    assert len(crew.given) <= len(TASKS) + len(deaths)


def test_no_more_workers_are_hired_than_there_are_tasks() -> None:
    crew = Scripted(deque())
    names(crew, 50)
    assert crew.hired == len(TASKS)


def test_a_candidate_that_kills_every_worker_ends_the_work_after_the_others() -> None:
    crew = Scripted(deque(), never=frozenset({0}))
    stream = shared_out(crew, TASKS, 2)
    assert sorted(one.id for one in islice(stream, 5)) == ["1", "2", "3", "4", "5"]
    with pytest.raises(HwnasError, match=r"3 workers died .* \{\"id\": 0\} \(killed by signal 9"):
        next(stream)
    assert crew.given.count(0) == ATTEMPTS
    assert crew.closed


def test_workers_that_never_start_end_the_work() -> None:
    crew = Scripted(deque([True] * 50))
    with pytest.raises(HwnasError, match="die as they start: killed by signal 9"):
        names(crew, 2)
    assert crew.hired <= 2 + ATTEMPTS


def test_a_worker_that_dies_idle_costs_nothing() -> None:
    crew = Scripted(deque())
    found = shared_out(crew, TASKS[:2], 2)
    assert next(found).id == "0"
    crew.speaking.appendleft((1, None))  # worker 1 has nothing left to do
    crew.fates.append(True)
    assert [one.id for one in found] == ["1"]
    assert crew.hired <= 3


def test_what_a_worker_finds_wrong_is_said_and_ends_the_work() -> None:
    class Complaining(Scripted):
        def wait(self) -> tuple[int, Answer]:
            return 1, InputError("image 3.png cannot be read")

    crew = Complaining(deque())
    with pytest.raises(InputError, match=r"3\.png"):
        names(crew, 2)
    assert crew.closed


def test_leaving_early_closes_the_crew() -> None:
    crew = Scripted(deque())
    found = shared_out(crew, TASKS, 2)
    next(found)
    found.close()
    assert crew.closed


@pytest.mark.parametrize("workers", [1, 3])
def test_a_wish_to_stop_ends_the_work_after_what_is_in_hand(workers: int) -> None:
    crew = Scripted(deque())
    kept: list[str] = []

    def keep(one: Evaluation) -> None:
        kept.append(one.id)
        raise Stopped

    with pytest.raises(Stopped):
        keep_each(shared_out(crew, TASKS, workers), keep)
    assert sorted(kept) == [str(number) for number in sorted(crew.given)]
    assert len(kept) < len(TASKS)
    assert crew.closed
