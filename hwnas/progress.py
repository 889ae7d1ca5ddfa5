"""How long work tells what it is doing, without knowing who listens."""

from typing import Protocol


class Progress(Protocol):
    """A listener: the command line shows it, a notebook may ignore it."""

    def say(self, text: str) -> None:
        """Takes one line for people."""

    def step(self, what: str, done: int, total: int) -> None:
        """Takes how far a piece of work has come; `what` names it and stays the same throughout."""


class Silent:
    """A listener that ignores everything."""

    def say(self, text: str) -> None:
        """Ignores the line."""

    def step(self, what: str, done: int, total: int) -> None:
        """Ignores the step."""
