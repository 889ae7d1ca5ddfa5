"""How long work tells what it is doing, without knowing who listens."""

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Protocol, TypeVar

Value = TypeVar("Value")


class Stopped(KeyboardInterrupt):
    """A listener's wish, at a step, that the work ends here; what was done so far is kept."""


class Progress(Protocol):
    """A listener: the command line shows it, a notebook may ignore it."""

    def say(self, text: str) -> None:
        """Takes one line for people."""

    def step(self, what: str, done: int, total: int) -> None:
        """Takes how far a piece of work has come; `what` names it and stays the same throughout.

        Work calls it when what it tells of is on the disk.

        Raises:
            Stopped: no more work is to begin, since the user pressed Ctrl-C.
        """


class Silent:
    """A listener that ignores everything."""

    def say(self, text: str) -> None:
        """Ignores the line."""

    def step(self, what: str, done: int, total: int) -> None:
        """Ignores the step."""


def keep_each(results: Iterable[Value], keep: Callable[[Value], None]) -> None:
    """Hands results to `keep` as they come; once that raises Stopped, those in flight, and then ends.

    A generator is told of the wish by `throw` and is to begin nothing more, yield what is in flight
    and raise Stopped; it is closed in the end, whatever that is.

    Raises:
        Stopped: as `keep` did, when what was in flight is kept.
    """
    asked: list[Stopped] = []
    try:
        for one in following(results, asked):
            try:
                keep(one)
            except Stopped as wish:
                asked.append(wish)
    finally:
        if isinstance(results, Generator):
            results.close()


def following(results: Iterable[Value], asked: list[Stopped]) -> Iterator[Value]:
    """Yields results; while `asked` holds a wish to stop, throws it into them before each.

    Raises:
        Stopped: the wish, when nothing is in flight any more.
    """
    stream = iter(results)
    while True:
        if asked and not isinstance(stream, Generator):
            raise asked[0]
        try:
            one = stream.throw(asked[0]) if asked and isinstance(stream, Generator) else next(stream)
        except StopIteration:
            return
        yield one
