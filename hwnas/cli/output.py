"""What commands print: progress on stderr, results on stdout, JSON where it is asked for."""

import json
import shutil
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from hwnas.cli.interrupt import stoppable
from hwnas.progress import Progress

# A pipe gets a line for a step at most so often.
_PLAIN_INTERVAL_S = 5.0


def print_json(value: Any) -> None:
    """Prints a value as JSON on stdout."""
    sys.stdout.write(json.dumps(value, indent=1, allow_nan=False) + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str = "") -> None:
    """Prints a table on stdout; columns of numbers are set to the right. Text is taken literally.

    Where it is too wide for the terminal, heads of several words take a line for each, and columns
    stand closer.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 200)
    texts = [[printable(str(cell)) for cell in cells] for cells in zip(columns, *rows, strict=True)]
    room = sum(max(map(len, cells)) for cells in texts) + 2 * (len(texts) - 1)
    fits = room <= console.width
    heads = [cells[0] if fits else cells[0].replace(" ", "\n") for cells in texts]
    table = Table(
        title=Text(printable(title)) if title else None,
        box=None,
        pad_edge=False,
        padding=(0, 1) if fits else (0, 1, 0, 0),
        title_justify="left",
    )
    for index in range(len(columns)):
        numeric = all(_is_figure(row[index]) for row in rows)
        table.add_column(Text(heads[index]), justify="right" if numeric and rows else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(printable(str(cell))) for cell in row))
    console.print(table)


def say(text: str) -> None:
    """Prints one line on stderr."""
    sys.stderr.write(printable(text) + "\n")
    sys.stderr.flush()


def remark(text: str) -> None:
    """Prints a line of prose on stderr, broken between words where a terminal is narrower."""
    width = shutil.get_terminal_size().columns
    if sys.stderr.isatty() and len(text) > width:
        text = textwrap.fill(printable(text), width, subsequent_indent="  ", break_long_words=False)
        sys.stderr.write(text + "\n")
    else:
        say(text)


@contextmanager
def showing_progress() -> Iterator[Progress]:
    """Yields a listener: bars where stderr is a terminal, plain lines elsewhere.

    A Ctrl-C ends the work at its next step, see `hwnas.cli.interrupt`.
    """
    if not sys.stderr.isatty():
        with stoppable(PlainProgress(sys.stderr)) as plain:
            yield plain
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = [
        # Names of devices stand in it, which are no markup.
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}"),
        TimeElapsedColumn(),
    ]
    with (
        Bars(*columns, console=Console(stderr=True), transient=True) as bars,
        stoppable(_BarProgress(bars)) as shown,
    ):
        yield shown


class PlainProgress:
    """Writes lines; a running step gets one at its start, its end and every few seconds."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._shown: dict[str, float] = {}
        self._pace = _Pace()

    def say(self, text: str) -> None:
        """Writes the line."""
        self._out.write(printable(text) + "\n")
        self._out.flush()

    def step(self, what: str, done: int, total: int) -> None:
        """Writes how far the step is, unless it was just written."""
        now = time.monotonic()
        pace = self._pace.text(what, done, total)
        ended = done >= total
        if not ended and now - self._shown.get(what, -_PLAIN_INTERVAL_S) < _PLAIN_INTERVAL_S:
            return
        if ended and what not in self._shown:
            return  # nothing was left to do
        self._shown[what] = now
        if ended:
            del self._shown[what]
        self.say(f"{what}: {done}/{total}{pace and f' ({pace})'}")


class _BarProgress:
    def __init__(self, bars: Any) -> None:
        self._bars = bars
        self._tasks: dict[str, Any] = {}
        self._pace = _Pace()

    def say(self, text: str) -> None:
        from rich.text import Text

        self._bars.console.print(Text(printable(text)))

    def step(self, what: str, done: int, total: int) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(printable(what), total=total, pace="")
        pace = self._pace.text(what, done, total)
        self._bars.update(self._tasks[what], completed=done, total=total, pace=pace)
        if done >= total:
            self._bars.remove_task(self._tasks.pop(what))


class _Pace:
    """How fast steps go on, from where each was first heard of."""

    def __init__(self) -> None:
        self._started: dict[str, tuple[float, int]] = {}

    def text(self, what: str, done: int, total: int) -> str:
        """Returns such as `2.5/s, 40 s left`; nothing while a step has not moved, or has ended."""
        since, first = self._started.setdefault(what, (time.monotonic(), done))
        elapsed_s = time.monotonic() - since
        if done >= total:
            del self._started[what]
        if not first < done < total or elapsed_s <= 0:
            return ""
        rate = (done - first) / elapsed_s
        left = round((total - done) / rate)
        clock = f"{left} s" if left < 120 else f"{left // 60} min" if left < 7200 else f"{left / 3600:.1f} h"
        return f"{rate:.2g}/s, {clock} left" if rate >= 1 else f"{1 / rate:.2g} s each, {clock} left"


def printable(text: str) -> str:
    """Returns text without characters that steer a terminal; names come from outside."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _is_figure(cell: object) -> bool:
    return isinstance(cell, int | float) or str(cell)[:1].isdigit() or str(cell) == "-"
