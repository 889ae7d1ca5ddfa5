"""How a search looks on a terminal: a live panel while it runs, tables at its end."""

import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hwnas.cli.interrupt import stoppable
from hwnas.cli.output import print_table, printable, showing_progress
from hwnas.units import format_energy_mj, format_size_bytes, format_time_ms

if TYPE_CHECKING:
    from hwnas.progress import Progress
    from hwnas.search.front import Figure, Front, Member
    from hwnas.search.result import Status

# Of the steps that go on at once so many are shown, the last begun.
_SHOWN_STEPS = 6


@contextmanager
def showing_search() -> "Iterator[tuple[Progress, Callable[[Status], None] | None]]":
    """Yields a listener and a watcher: one live panel on a terminal, plain lines elsewhere."""
    if not sys.stderr.isatty():
        with showing_progress() as plain:
            yield plain, None
        return
    from rich.console import Console
    from rich.live import Live

    view = SearchView()
    with Live(
        get_renderable=view.render, console=Console(stderr=True), refresh_per_second=4, transient=True
    ) as live:
        view.console = live.console
        with stoppable(view) as listener:
            yield listener, view.watch


class SearchView:
    """The state of a search as a panel: generation, evaluations, hypervolume, best, time left."""

    def __init__(self) -> None:
        """Starts empty."""
        self.console: Any = None
        self.status: Status | None = None
        self.steps: dict[str, tuple[int, int]] = {}
        self._started = time.monotonic()

    def say(self, text: str) -> None:
        """Prints a line above the panel."""
        from rich.text import Text

        if self.console is not None:
            self.console.print(Text(printable(text)))

    def step(self, what: str, done: int, total: int) -> None:
        """Takes how far a piece of work has come."""
        if done >= total:
            self.steps.pop(what, None)
        else:
            self.steps[what] = done, total

    def watch(self, status: "Status") -> None:
        """Takes the state after a generation."""
        self.status = status

    def render(self) -> Any:
        """Returns the panel as it stands."""
        from rich.panel import Panel
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        for name, value in self.lines():
            table.add_row(Text(name, style="dim"), Text(printable(value)))
        return Panel(table, title="hwnas search", title_align="left", expand=False)

    def lines(self) -> list[tuple[str, str]]:
        """Returns the rows of the panel: what, and how it is now."""
        rows = [("running", _clock(time.monotonic() - self._started))]
        rows += [
            (what, f"{done} of {total}") for what, (done, total) in list(self.steps.items())[-_SHOWN_STEPS:]
        ]
        status = self.status
        if status is None:
            return rows
        rows.append(("round", f"{status.round} of {status.rounds} ({status.device}, {status.stage})"))
        rows.append(("generation", str(status.generation)))
        rows.append(("evaluated", f"{status.evaluated} networks; {status.priced} priced by predictors"))
        rows.append(("hypervolume", f"{status.hypervolume:.5g} ({status.stage})"))

        for name, (accuracy, latency_ms) in status.best.items():
            rows.append((f"best on {name}", f"{accuracy:.2f} % at {format_time_ms(latency_ms)}"))
        if not status.best:
            rows.append(("best", "none within the limits yet"))
        rows.append(("left, at most", _clock(status.seconds_left)))
        return rows


def print_fronts(front: "Front") -> None:
    """Prints a table for each front: one for all devices of a machine, one for each other device."""
    members = {member.id: member for member in front.members}
    kinds = {figure["kind"] for member in front.members for figure in member.latency_ms.values()}
    columns = _columns(front, kinds)
    fronts = front.fronts or {"": tuple(members)}
    for name, ids in fronts.items():
        group = name.split("+")
        rows = []
        for member in (members[one] for one in ids if one in members):
            device = member.deploy_on if not name or member.deploy_on in group else _fastest(member, group)
            latency, test = member.latency_ms[device], member.accuracy_top1_test
            energy = [format_energy_mj(member.energy_mj["value"]) if member.energy_mj else "-"]
            rows.append(
                [
                    member.id,
                    device,
                    f"{member.accuracy_top1['value']:.2f}",
                    f"{test['value']:.2f}" if test else "-",
                    format_time_ms(latency["value"]),
                    format_time_ms(latency["p95"]),
                    *([latency["kind"]] if "latency is" in columns else []),
                    *(energy if "energy" in columns else []),
                    format_size_bytes(member.size_bytes),
                    format_size_bytes(member.peak_memory_bytes),
                    _bits_share(member.bits),
                ]
            )
        said = f", latencies {next(iter(kinds))}" if len(kinds) == 1 else ""
        print_table(columns, rows, title=_title(front, name) + said)


def _columns(front: "Front", kinds: Collection[str]) -> list[str]:
    split = front.members[0].accuracy_top1.get("split", "predicted") if front.members else "validate"
    return [
        "model",
        "deploy on",
        f"{split} %",
        "test %",
        "latency",
        "p95",
        *(["latency is"] if len(kinds) > 1 else []),
        *(["energy"] if any(member.energy_mj for member in front.members) else []),
        "weights",
        "memory",
        "low-bit layers",
    ]


def _title(front: "Front", name: str) -> str:
    forms = {
        "energy_mj": format_energy_mj,
        "size_bytes": format_size_bytes,
        "peak_memory_bytes": format_size_bytes,
    }
    target = min((front.target_on(one) for one in name.split("+")), default=float("inf"))
    parts = [f"{format_time_ms(target)} (p95)"] if target < float("inf") else []
    if front.soft:
        parts = [f"a soft target of {format_time_ms(front.soft['target_ms'])}"]
    parts += [f"{form(front.limits[key])}" for key, form in forms.items() if key in front.limits]
    place = f" on {name}" if len(front.fronts) > 1 else ""
    return f"front{place}" + (f" within {', '.join(parts)}" if parts else "")


def _fastest(member: "Member", group: list[str]) -> str:
    known: dict[str, Figure] = {name: member.latency_ms[name] for name in group if name in member.latency_ms}
    return min(known, key=lambda name: float(known[name]["value"]))


def _bits_share(bits: Any) -> str:
    pairs = list(zip(bits["weights"], bits["activations"], strict=True))
    return f"{sum(min(pair) < 32 for pair in pairs)}/{len(pairs)}"


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole} s" if whole < 120 else f"{whole // 60} min {whole % 60} s"
