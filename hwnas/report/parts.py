"""The parts that sections of the page are made of."""

from collections.abc import Sequence

from hwnas.report.html import Html, element, text


def section(anchor: str, title: str, *parts: Html) -> Html:
    """Returns a section with a heading that can be linked to."""
    heading = element("h2", {"id": anchor}, text(title))
    return element("section", {"aria-labelledby": anchor}, heading, *parts)


def paragraph(words: str) -> Html:
    """Returns a paragraph of explanation."""
    return element("p", {"class": "soft"}, text(words))


def table(caption: str, header: Sequence[str], rows: Sequence[Html], numeric: range) -> Html:
    """Returns a table that scrolls sideways where it is too wide; `numeric` columns stand right."""
    cells = [
        element("th", {"scope": "col", "class": "num" if n in numeric else None}, text(one))
        for n, one in enumerate(header)
    ]
    whole = element(
        "table",
        None,
        element("caption", None, text(caption)),
        element("thead", None, element("tr", None, *cells)),
        element("tbody", None, *rows),
    )
    return element(
        "div", {"class": "scroll", "tabindex": "0", "role": "region", "aria-label": caption}, whole
    )


def cell(shown: str, *small: str) -> Html:
    """Returns a cell with a figure, and notes in small type below it."""
    notes = [element("small", None, text(note)) for note in small if note]
    return element("td", {"class": "num"}, text(shown.strip()), *notes)
