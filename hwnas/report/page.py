"""The page of a run, put together from its files alone; it works without a network."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from hwnas.files import write_text
from hwnas.report.chains import chains
from hwnas.report.comparison import devices_section
from hwnas.report.figures import (
    baseline_plots,
    baseline_words,
    convergence_plots,
    paper_plots,
    prediction_plots,
)
from hwnas.report.forms import Baseline
from hwnas.report.fronts import front_plots
from hwnas.report.html import Html, element, join, name, plain, text
from hwnas.report.interactive import packed_plotly, plotly_figure, script_digest
from hwnas.report.models import models_json, models_section
from hwnas.report.parts import cell, paragraph, plots, section, table
from hwnas.report.picker import picker_section
from hwnas.report.plot import number
from hwnas.report.run import Run, read_run

_MOST_NESTED = 8


def write_report(run_folder: Path) -> Path:
    """Returns the path of `report.html`, written anew from the files of a run folder.

    Raises:
        InputError: a file of the run is missing or is not what a search writes, or the folder
            cannot be written to.
    """
    path = run_folder / "report.html"
    write_text(path, page(read_run(run_folder)))
    return path


def page(run: Run) -> str:
    """Returns the whole HTML document; links to models' files hold while it stands in its run folder."""
    title = f"{run.folder.resolve().name}: models for {', '.join(run.front.device_names)}"
    script = _own_file("page.js")
    plotly = packed_plotly()
    head = element(
        "head",
        None,
        element("meta", {"charset": "utf-8"}),
        element("meta", {"http-equiv": "Content-Security-Policy", "content": _policy(script, plotly.digest)}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("title", None, text(title)),
        element("style", None, Html(_own_file("page.css"))),
    )
    body = element(
        "body",
        None,
        element("main", None, *_sections(run)),
        _data_block("run-data", _script_json(_script_data(run))),
        _data_block("plotly", plotly.packed),
        element("script", None, Html(script)),
    )
    return f"<!DOCTYPE html>\n{element('html', {'lang': 'en'}, head, body)}\n"


def _sections(run: Run) -> list[Html]:
    fronts = front_plots(run)
    words = (
        "Each brick is a layer: the larger its kernel (k) the wider, the larger its expand ratio (e) the "
        "taller. se is squeeze-and-excitation, w its output channels where the space leaves a choice of "
        "them, b its bits. Blue bricks are quantized to 8 bits or more, amber ones below."
    )
    all_chains = element(
        "details",
        {"id": "all-chains"},
        element("summary", None, text("Show them")),
        element("div", {"id": "all-chains-inside"}),
    )
    sections = [
        _opening(run),
        picker_section(run, fronts) if fronts else None,
        models_section(run),
        section("layers", "Layers of each model", paragraph(words), all_chains) if fronts else None,
        devices_section(run),
        _predictions(run),
        _convergence(run),
        _baselines(run),
        _making(run),
    ]
    return [one for one in sections if one is not None]


def _script_data(run: Run) -> dict[str, Any]:
    drawn = {plot.key: plotly_figure(plot) for plot in paper_plots(run)}
    targets = {plain(device): run.front.target_ms(device) for device in run.front.device_names}
    return {"models": models_json(run), "plots": drawn, "targets": targets, **chains(run).to_json()}


def _script_json(value: Any) -> str:
    """JSON that cannot end the element it stands in, whatever names are in it."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _data_block(anchor: str, content: str) -> Html:
    return Html(f'<script type="application/json" id="{anchor}">{content}</script>')


def _policy(script: str, plotly_digest: str) -> str:
    """Nothing is loaded, and two scripts run: the page's own and plotly, known by their digests."""
    digests = f"'sha256-{script_digest(script.encode('utf-8'))}' 'sha256-{plotly_digest}'"
    # Plotly sets styles, and draws the PNG it saves from a blob of its own.
    return f"default-src 'none'; script-src {digests}; style-src 'unsafe-inline'; img-src data: blob:"


def _own_file(file: str) -> str:
    return (files("hwnas.report") / file).read_text(encoding="utf-8")


def _opening(run: Run) -> Html:
    front = run.front
    facts = [(str(len(front.candidates)), "models on the front")]
    facts.append((str(sum(model.quantized_share > 0 for model in front.candidates)), "of them quantized"))
    facts += [(f"{number(ms)} ms", note) for ms, note in _targets(run)]
    if front.candidates:
        best = max(front.candidates, key=lambda model: model.accuracy_top1.value)
        fastest = min(front.candidates, key=lambda model: model.latency.value)
        facts.append((f"{best.accuracy_top1.value:.2f} %", f"most accurate, {number(best.latency.value)} ms"))
        facts.append((f"{number(fastest.latency.value)} ms", f"fastest, {fastest.accuracy_top1.value:.2f} %"))
    if isinstance(front.hypervolume, float):
        facts.append((number(front.hypervolume), "hypervolume, % x ms"))
    items = [
        element("li", None, element("b", None, text(v)), element("span", None, text(w))) for v, w in facts
    ]
    return join(
        element("h1", None, name(run.folder.resolve().name)),
        element(
            "p",
            {"class": "soft"},
            text("Networks of the space "),
            name(front.space),
            text(" found for "),
            *_listed(front.device_names),
            text("; each figure says whether it was measured, predicted or simulated."),
        ),
        element("ul", {"class": "facts"}, *items),
        element("noscript", None, paragraph("Plots and layers are drawn by a script; the tables need none.")),
        element("p", {"id": "trouble", "role": "alert", "hidden": True}),
    )


def _targets(run: Run) -> list[tuple[float, str]]:
    target = run.front.target_latency_ms
    if isinstance(target, dict):
        return [(ms, f"target on {device}") for device, ms in target.items()]
    return [] if target is None else [(target, "target latency")]


def _predictions(run: Run) -> Html:
    known = any(
        figure.predicted is not None for model in run.front.candidates for figure in model.latency_ms.values()
    )
    if not run.predictors and not known:
        return section(
            "predicted", "Predicted against measured", paragraph("Nothing was predicted in this run.")
        )
    words = (
        "On the line, a prediction is right. Held-out architectures were not used to fit the predictor that "
        "is scored; what the search proposed was predicted before it was measured."
    )
    return section("predicted", "Predicted against measured", paragraph(words), plots(prediction_plots(run)))


def _convergence(run: Run) -> Html:
    if not run.convergence:
        return section("convergence", "Convergence", paragraph("No round has ended yet."))
    words = "Hypervolume: the area of accuracy x latency that the front dominates; more is better."
    point = run.front.reference_point
    if isinstance(point, dict):
        shown = ", ".join(
            f"{key} {number(v) if isinstance(v, int | float) else v}" for key, v in point.items()
        )
        words += f" It is counted from {shown}."
    for device, share in run.front.certificate.items():
        words += f" On the predictors, what was found for {device} has {share:.4f} of the exact front's."
    return section("convergence", "Convergence", paragraph(words), plots(convergence_plots(run)))


def _baselines(run: Run) -> Html:
    if not run.baselines:
        return section(
            "baselines", "Against the obvious", paragraph("No baselines were measured in this run.")
        )
    words = (
        "What was found beside what is easy to have: for each network of a baseline, the found model that is "
        "no slower and best on the validation split; accuracies are of the test split."
    )
    caption = "How many points of accuracy the found models are ahead at equal measured latency."
    header = ["ahead of", "devices", "margin, points", "standard error", "better than"]
    rows = [_margin_row(title, baseline) for title, baseline in run.baselines.items()]
    parts = [paragraph(words), plots(baseline_plots(run)), table(caption, header, rows, numeric=range(2, 5))]
    return section("baselines", "Against the obvious", *parts)


def _margin_row(title: str, baseline: Baseline) -> Html:
    method, group = baseline_words(title)
    error = baseline.standard_error
    return element(
        "tr",
        None,
        element("th", {"scope": "row"}, name(method)),
        element("td", None, name(group or "all")),
        cell(f"{baseline.mean_points:+.2f}" if baseline.mean_points is not None else "–"),
        cell(f"{error:.2f}" if error is not None else "–"),
        cell(f"{baseline.better} of {baseline.compared}"),
    )


def _making(run: Run) -> Html:
    command = run.environment.get("command", run.config.get("command"))
    parts = []
    if isinstance(command, list) and all(isinstance(word, str) for word in command):
        command = shlex.join(command)
    if isinstance(command, str):
        copy = element("button", {"type": "button", "id": "copy-command"}, text("Copy"))
        parts += [
            paragraph("The command that makes this run again, or goes on with it in its folder:"),
            element("pre", {"id": "command", "tabindex": "0"}, text(command)),
            copy,
        ]
    for title, value in (("Configuration", run.config), ("Environment", run.environment)):
        rows = [
            element("tr", None, element("th", {"scope": "row"}, name(key)), element("td", None, name(shown)))
            for key, shown in _flat(value)
            if key != "command"
        ]
        listed = element("table", {"class": "settings"}, element("tbody", None, *rows))
        opened = title == "Configuration"
        parts.append(element("details", {"open": opened}, element("summary", None, text(title)), listed))
    return section("making", "How it was made", *parts)


def _flat(value: Any, key: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """The leaves of a JSON value with dotted keys; short lists stay in one line."""
    if depth > _MOST_NESTED:
        yield key, "…"
    elif isinstance(value, Mapping) and value:
        for inner, one in value.items():
            yield from _flat(one, f"{key}.{inner}" if key else str(inner), depth + 1)
    elif isinstance(value, list) and value and not any(isinstance(one, dict | list) for one in value):
        yield key, ", ".join(plain(one) for one in value)
    elif isinstance(value, list) and value:
        for index, one in enumerate(value):
            yield from _flat(one, f"{key}[{index}]", depth + 1)
    else:
        yield key, "–" if value in (None, "", [], {}) else plain(value)


def _listed(names: Sequence[str]) -> list[Html]:
    return [part for n, one in enumerate(names) for part in ((text(", "),) if n else ()) + (name(one),)]
