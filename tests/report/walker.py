"""The page of a run as tests read it: its tags, its words and its data."""

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from hwnas.report import write_report

VOID = {"meta", "br", "input"}
HOSTILE = "<script>alert(1)</script>\"'&\u202egnp.\u0007"


class Walker(HTMLParser):
    """Checks that tags are balanced, and gathers what a test asks about."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        assert len(attrs) == len(dict(attrs)), f"an attribute twice in {tag}"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"{tag} was never opened"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["script"], ["style"]):
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def walk(folder: Path) -> Walker:
    walker = Walker()
    walker.feed(without_plotly(write_report(folder).read_text(encoding="utf-8")))
    walker.close()
    assert walker.open == []
    return walker


def without_plotly(page: str) -> str:
    """The page without its two megabytes of library, which only cost time to look through."""
    start = page.index('<script type="application/json" id="plotly">')
    return page[:start] + page[page.index("</script>", start) + len("</script>") :]


def data_of(page: str) -> Any:
    start = page.index('id="run-data">') + len('id="run-data">')
    return json.loads(page[start : page.index("</script>", start)])


def read_data(folder: Path) -> Any:
    return data_of(write_report(folder).read_text(encoding="utf-8"))


def change(folder: Path, file: str, edit: Callable[[Any], Any]) -> None:
    path = folder / file
    value = json.loads(path.read_text(encoding="utf-8"))
    replaced = edit(value)
    path.write_text(json.dumps(value if replaced is None else replaced), encoding="utf-8")
