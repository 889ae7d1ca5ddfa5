"""Results that are kept to the last one in flight when a listener wishes that the work ends."""

from collections.abc import Generator

import pytest

from hwnas.progress import Stopped, keep_each


def flying(started: list[int], count: int, at_once: int) -> Generator[int, None, None]:
    """Yields numbers; so many are always under way, and those are what is left after Stopped."""
    waiting = list(range(count))
    running: list[int] = []
    stopped = None
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                running.append(waiting.pop(0))
                started.append(running[-1])
            try:
                yield running.pop(0)
            except Stopped as wish:
                stopped = wish
                waiting.clear()
        if stopped:
            raise stopped
    finally:
        started.append(-1)


def keeper(kept: list[int], last: int) -> "object":
    def keep(one: int) -> None:
        kept.append(one)
        if one >= last:
            raise Stopped

    return keep


def test_all_are_kept_where_nobody_wishes_to_stop() -> None:
    started: list[int] = []
    kept: list[int] = []
    keep_each(flying(started, 5, 2), kept.append)
    assert kept == [0, 1, 2, 3, 4]
    assert started[-1] == -1


@pytest.mark.parametrize("at_once", [1, 3])
def test_what_is_in_flight_is_kept_and_nothing_more_begins(at_once: int) -> None:
    started: list[int] = []
    kept: list[int] = []
    with pytest.raises(Stopped):
        keep_each(flying(started, 9, at_once), keeper(kept, 1))  # type: ignore[arg-type]
    assert kept == started[:-1] == list(range(1 + at_once))
    assert started[-1] == -1


def test_results_that_cannot_be_told_end_at_once() -> None:
    kept: list[int] = []
    with pytest.raises(Stopped):
        keep_each([0, 1, 2], keeper(kept, 1))  # type: ignore[arg-type]
    assert kept == [0, 1]


def test_an_error_closes_the_source() -> None:
    started: list[int] = []
    with pytest.raises(ZeroDivisionError):
        keep_each(flying(started, 5, 2), lambda one: 1 // one)  # type: ignore[arg-type, return-value]
    assert started[-1] == -1
