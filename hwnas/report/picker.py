"""The part of the page that people play with: the front, a target, and the best model within it."""

from collections.abc import Sequence

from hwnas.report.html import Html, element, join, name, text
from hwnas.report.parts import paragraph, plot_place, section
from hwnas.report.plot import Plot
from hwnas.report.run import Run

# What models can be narrowed down by: key of the script's data, and words.
_FILTERS = {"latency": "latency, ms", "accuracy": "accuracy, %", "size": "size", "energy": "energy, mJ"}


def picker_section(run: Run, fronts: Sequence[Plot]) -> Html:
    """Returns the front beside the controls that pick a model from it, and the model picked."""
    words = (
        "Slide the target: the most accurate model that keeps it is picked, and what stands below is that "
        "model's. Point at a mark for its figures, click it to pick it, drag to zoom or to select."
    )
    return section(
        "front",
        "Accuracy against latency",
        paragraph(words),
        element(
            "div",
            {"class": "bench"},
            element("div", {"class": "controls"}, _target(run), _filters(run), _view(fronts)),
            element("figure", None, plot_place(fronts[0], wide=True), _tools(), _shapes()),
        ),
        _picked(),
    )


def _target(run: Run) -> Html:
    devices = run.front.device_names
    options = [element("option", {"value": ""}, text("each model's own"))]
    options += [element("option", {"value": device}, text(device)) for device in devices]
    chosen = [
        element("label", {"for": "device"}, text("On device")),
        element("select", {"id": "device"}, *options),
    ]
    # Numbers typed here carry no unit of their own: the label says it.
    typed = {"id": "target-typed", "type": "number", "min": "0", "step": "any", "inputmode": "decimal"}
    return element(
        "fieldset",
        None,
        element("legend", None, text("The best model within")),
        *(chosen if len(devices) > 1 else []),
        element("label", {"for": "target"}, text("Target: p95 latency")),
        element("input", {"id": "target", "type": "range", "min": "0", "max": "0", "step": "1"}),
        element("label", {"for": "target-typed"}, text("or in ms")),
        element("input", typed),
        element("output", {"id": "verdict", "for": "target target-typed", "aria-live": "polite"}),
    )


def _filters(run: Run) -> Html:
    models = run.front.candidates
    known = {
        "latency": True,
        "accuracy": True,
        "size": any(model.size_bytes is not None for model in models),
        "energy": any(model.energy for model in models),
    }
    rows = [_filter(key, label) for key, label in _FILTERS.items() if known[key]]
    count = element("p", {"id": "count", "role": "status"})
    reset = element("button", {"type": "button", "id": "all-models"}, text("Show all models"))
    inner = element("div", None, *rows, count, reset)
    return element("details", {"id": "filters"}, element("summary", None, text("Narrow down")), inner)


def _filter(key: str, label: str) -> Html:
    ends = []
    for end, words in (("low", "from"), ("high", "to")):
        spec = {"type": "range", "min": "0", "max": "0", "step": "1", "data-filter": key, "data-end": end}
        ends += [element("input", {**spec, "aria-label": f"{label} {words}"})]
    shown = element("output", {"data-shown": key})
    return element("div", {"class": "filter"}, element("span", None, text(label)), shown, *ends)


def _view(fronts: Sequence[Plot]) -> Html:
    options = [element("option", {"value": plot.key}, text(plot.heading)) for plot in fronts]
    return join(
        element("label", {"for": "against"}, text("Plot accuracy against")),
        element("select", {"id": "against"}, *options),
    )


def _tools() -> Html:
    buttons = [
        _button("zoom", "Zoom by dragging", pressed=True),
        _button("select", "Select by dragging", pressed=False),
        _button("reset", "Whole front"),
        _button("png", "Save as PNG"),
    ]
    return element("div", {"class": "tools", "role": "group", "aria-label": "The plot"}, *buttons)


def _button(key: str, words: str, pressed: bool | None = None) -> Html:
    state = {} if pressed is None else {"aria-pressed": str(pressed).lower()}
    return element("button", {"type": "button", "data-tool": key, **state}, text(words))


def _shapes() -> Html:
    words = (
        "Circles are floating point, diamonds quantized in part, squares quantized throughout; bars are "
        "95 % intervals; pale marks are models better deployed on another device."
    )
    return element("figcaption", None, text(words))


def _picked() -> Html:
    return element(
        "article",
        {"id": "picked", "aria-labelledby": "picked-name"},
        element("h3", {"id": "picked-name"}, name("")),
        element("dl", {"id": "picked-facts"}),
        element("p", {"id": "picked-files"}),
        element("div", {"class": "chain", "id": "picked-chain"}),
    )
