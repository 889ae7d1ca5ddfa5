"""The parts that sections of the page are made of."""

from collections.abc import Sequence

from hwnas.report.html import Html, element, name, text
from hwnas.report.plot import Plot


def section(anchor: str, title: str, *parts: Html) -> Html:
    """Returns a section with a heading that can be linked to."""
    heading = element("h2", {"id": anchor}, text(title))
    return element("section", {"aria-labelledby": anchor}, heading, *parts)


def paragraph(words: str) -> Html:
    """Returns a paragraph of explanation."""
    return element("p", {"class": "soft"}, text(words))


def table(
    caption: str, header: Sequence[str], rows: Sequence[Html], numeric: range, anchor: str | None = None
) -> Html:
    """Returns a table that scrolls sideways where it is too wide; `numeric` columns stand right."""
    cells = [
        element("th", {"scope": "col", "class": "num" if n in numeric else None}, name(one))
        for n, one in enumerate(header)
    ]
    whole = element(
        "table",
        {"id": anchor},
        element("caption", None, text(caption)),
        element("thead", None, element("tr", None, *cells)),
        element("tbody", None, *rows),
    )
    return element(
        "div", {"class": "scroll", "tabindex": "0", "role": "region", "aria-label": caption}, whole
    )


def cell(shown: str, *small: str, of: float | None = None) -> Html:
    """Returns a cell with a figure, and notes in small type below it; `of` is what it sorts by."""
    notes = [element("small", None, text(note)) for note in small if note]
    value = None if of is None else repr(float(of))
    return element("td", {"class": "num", "data-value": value}, text(shown.strip()), *notes)


def plots(figures: Sequence[Plot]) -> Html:
    """Returns places for plots side by side; the page's script draws them by their keys."""
    return element("div", {"class": "plots"}, *(_figure(plot) for plot in figures))


def plot_place(plot: Plot, wide: bool = False) -> Html:
    """Returns the place that a plot is drawn in."""
    attributes = {"class": "plot wide" if wide else "plot", "data-plot": plot.key}
    return element("div", {**attributes, "role": "img", "aria-label": plot.label})


def _figure(plot: Plot) -> Html:
    caption = [element("figcaption", None, text(plot.note))] if plot.note else []
    return element("figure", None, element("h3", None, name(plot.heading)), plot_place(plot), *caption)
