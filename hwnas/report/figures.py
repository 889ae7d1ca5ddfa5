"""What the plots of a run show: fronts, predictions, convergence, devices, baselines."""

import math
from collections.abc import Iterable, Sequence

from hwnas.report.plot import Mark, Plot, Series, Shape, keys, number
from hwnas.report.run import Figure, Front, Model, Progress, Run, Scored

Pairs = Sequence[tuple[float, float]]

_METHODS = {"random": "uniformly random", "compound_scaled": "compound scaling"}
# Away from the first devices' colours.
_METHOD_COLOUR = 3


def paper_plots(run: Run) -> list[Plot]:
    """Returns every plot of a run, in the order of its page."""
    parts = (front_plots, device_plots, prediction_plots, convergence_plots, baseline_plots)
    return [plot for part in parts for plot in part(run)]


def front_plots(run: Run) -> list[Plot]:
    """Returns plots of accuracy against latency, and against what else the models' files tell."""
    models = run.front.candidates
    if not models:
        return []
    devices = run.front.device_names
    limits = sorted(
        {(t, f"target {number(t)} ms") for d in devices if (t := run.front.target_ms(d)) is not None}
    )
    # A target far from every model would squeeze them into a corner.
    slowest_ms = max(figure.value for model in models for figure in model.latency_ms.values())
    latency = Plot(
        key="front",
        heading="latency",
        label=f"Accuracy against latency of {len(models)} models on {', '.join(devices)}",
        x_label="latency, ms",
        y_label="accuracy, %",
        series=[one for n, device in enumerate(devices) for one in _front_series(run.front, device, n)],
        limits=[(t, note) for t, note in limits if t <= 3 * slowest_ms],
    )
    return [latency, *(plot for what in _COSTS if (plot := _cost_plot(run, *what)))]


def device_plots(run: Run) -> list[Plot]:
    """Returns a plot of each model's latency on the other devices against that on the first."""
    first, *others = run.front.device_names or [""]
    series = []
    for n, other in enumerate(others, 1):
        both = [m for m in run.front.candidates if first in m.latency_ms and other in m.latency_ms]
        marks = [_device_mark(model, first, other) for model in both]
        if marks:
            series.append(Series(other, marks, n, device=other))
    if not series:
        return []
    return [
        Plot(
            key="devices",
            heading=f"Latency on other devices against {first}",
            label=f"Latency of each model on {', '.join(one.name for one in series)} against {first}",
            x_label=f"on {first}, ms",
            y_label="on the other device, ms",
            series=series,
            diagonal=True,
            note="Below the line the other device is the faster one.",
        )
    ]


def prediction_plots(run: Run) -> list[Plot]:
    """Returns plots of predicted against measured: held out, and what the search proposed."""
    names = keys("predicted", run.predictors)
    scored = zip(names, run.predictors.items(), strict=True)
    plots = [_scored_plot(key, title, one) for key, (title, one) in scored]
    if not any(one.verified for one in run.predictors.values()):
        devices = run.front.device_names
        members = (
            _member_plot(key, run.front.candidates, device)
            for key, device in zip(keys("predicted-front", devices), devices, strict=True)
        )
        plots += [plot for plot in members if plot]
    return plots


def convergence_plots(run: Run) -> list[Plot]:
    """Returns plots of the hypervolume: what was measured, and what the predictors expected."""
    searched = {row.device for row in run.convergence}
    devices = [*run.front.device_names, *sorted(searched - set(run.front.device_names))]
    plots = []
    for stage, heading, x_label in (
        ("measured", "Measured, after each round", "networks evaluated"),
        ("proposed", "Expected by the predictors, generation by generation", "candidates priced"),
    ):
        rows = [row for row in run.convergence if row.stage == stage]
        if not rows:
            continue
        series = [
            line
            for n, device in enumerate(devices)
            for line in _progress_series(rows, device, n, stage == "measured")
        ]
        label = f"{heading}: hypervolume from {number(rows[0].hypervolume)} to {number(rows[-1].hypervolume)}"
        plots.append(Plot(f"convergence-{stage}", heading, label, x_label, "hypervolume, % x ms", series))
    return plots


def baseline_plots(run: Run) -> list[Plot]:
    """Returns plots of what was found beside what is easy to have, one for each group of devices."""
    groups = dict.fromkeys(baseline_words(title)[1] for title, one in run.baselines.items() if one.points)
    return [
        _group_plot(run, key, group) for key, group in zip(keys("baselines", groups), groups, strict=True)
    ]


def baseline_words(title: str) -> tuple[str, str]:
    """Returns the method and the devices (joined by `+`, empty for all) that `METHOD on DEVICES` names."""
    method, _, group = title.partition(" on ")
    return _METHODS.get(method, method), group


def interval(figure: Figure, digits: int | None = 2) -> str:
    """Returns `± W`, or both ends where an interval is lopsided; empty without one or without width.

    Args:
        figure: with its interval.
        digits: after the point; None for two that matter.
    """
    if figure.low is None or figure.high is None or figure.low == figure.high:
        return ""
    below, above = figure.value - figure.low, figure.high - figure.value
    if abs(below - above) <= 0.2 * max(below, above):
        half = (below + above) / 2
        return f"± {half:.{_digits(half) if digits is None else digits}f}"
    places = _digits(below + above) if digits is None else digits
    return f"{figure.low:.{places}f} to {figure.high:.{places}f}"


def _digits(width: float) -> int:
    """Digits after the point that show two that matter of a width."""
    return min(9, max(0, 1 - math.floor(math.log10(width)))) if width > 0 else 0


# Label, field and what a unit of the plot is, for figures that no device changes.
_COSTS = (
    ("size", "size", "size_bytes", (("kB", 1e3), ("MB", 1e6))),
    ("macs", "MACs", "macs", (("M", 1e6), ("G", 1e9))),
    ("memory", "peak memory", "peak_memory_bytes", (("kB", 1e3), ("MB", 1e6))),
    ("energy", "energy", "energy_value_mj", (("mJ", 1.0), ("J", 1e3))),
)


def _cost_plot(run: Run, key: str, words: str, field: str, units: Sequence[tuple[str, float]]) -> Plot | None:
    costs = {model.id: getattr(model, field) for model in run.front.candidates}
    known = [float(value) for value in costs.values() if value is not None]
    if not known:
        return None
    unit, scale = next((one for one in reversed(units) if max(known) >= one[1]), units[0])
    series = []
    for n, device in enumerate(run.front.device_names):
        here = [m for m in run.front.candidates if m.device == device and costs[m.id] is not None]
        marks = [_cost_mark(model, costs[model.id] / scale, f"{words} {{}} {unit}") for model in here]
        if marks:
            series.append(Series(device, sorted(marks, key=lambda mark: mark.x), n, device=device))
    return Plot(
        key=f"front-{key}",
        heading=words,
        label=f"Accuracy against {words} of {len(known)} models",
        x_label=f"{words}, {unit}",
        y_label="accuracy, %",
        series=series,
    )


def _cost_mark(model: Model, value: float, words: str) -> Mark:
    accuracy = model.accuracy_top1
    title = (
        f"{model.id} for {model.device}\n{accuracy.value:.2f} % {interval(accuracy)} {accuracy.kind}\n"
        + words.format(number(value))
    )
    return Mark(value, accuracy.value, title, None, _ends(accuracy), _shape(model), model=model.id)


def _device_mark(model: Model, first: str, other: str) -> Mark:
    one, two = model.latency_ms[first], model.latency_ms[other]
    title = (
        f"{model.id}, {model.accuracy_top1.value:.2f} %\n{first}: {number(one.value)} ms {one.kind}\n"
        f"{other}: {number(two.value)} ms {two.kind}"
    )
    return Mark(one.value, two.value, title, _ends(one), _ends(two), _shape(model), model=model.id)


def _front_series(front: Front, device: str, colour: int) -> list[Series]:
    """The models on a device, and what can be had there within each latency as a staircase."""
    here = sorted(
        (model for model in front.candidates if device in model.latency_ms),
        key=lambda m: m.latency_ms[device].value,
    )
    marks = [_front_mark(model, device, front.is_for(model, device)) for model in here]
    stairs: list[Mark] = []
    for model in here:
        accuracy = model.accuracy_top1.value
        if not stairs or accuracy > stairs[-1].y:
            stairs.append(Mark(model.latency_ms[device].value, accuracy))
    return [
        Series(device, stairs, colour, joined=True, stepped=True, dots=False, listed=False, device=device),
        Series(device, marks, colour, device=device),
    ]


def _front_mark(model: Model, device: str, deployed: bool) -> Mark:
    latency, accuracy = model.latency_ms[device], model.accuracy_top1
    share = model.quantized_share
    lines = [
        f"{model.id} on {device}",
        f"{accuracy.value:.2f} % {interval(accuracy)} {accuracy.kind}",
        f"{number(latency.value)} ms {latency.kind}"
        + (f", p95 {number(latency.p95)} ms" if latency.p95 is not None else ""),
        "floating point" if share == 0 else f"{100 * share:.0f} % of layers quantized",
    ]
    if not deployed:
        lines.append(f"better deployed on {model.device}")
    return Mark(
        x=latency.value,
        y=accuracy.value,
        title="\n".join(lines),
        x_interval=_ends(latency) if latency.low is None or latency.low > 0 else None,
        y_interval=_ends(accuracy),
        shape=_shape(model),
        faint=not deployed,
        model=model.id,
    )


def _shape(model: Model) -> Shape:
    share = model.quantized_share
    return "circle" if share == 0 else "square" if share == 1 else "diamond"


def _ends(figure: Figure) -> tuple[float, float] | None:
    return None if figure.low is None or figure.high is None else (figure.low, figure.high)


def _scored_plot(key: str, title: str, scored: Scored) -> Plot:
    words = _score_words(scored, is_accuracy=_is_accuracy(title))
    unit = "%" if _is_accuracy(title) else "ms"
    series = [Series("held out", _pair_marks(scored.pairs, unit), 0)]
    if scored.verified:
        marks = _pair_marks(scored.verified, unit, "diamond")
        series.append(Series("proposed by the search", marks, 1))
        words += f". Of what the search proposed: {len(scored.verified)}{_mape_words(scored.verified)}"
    return _against(key, title, unit, series, words)


def _pair_marks(pairs: Pairs, unit: str, shape: Shape = "circle") -> list[Mark]:
    return [
        Mark(
            measured,
            predicted,
            f"measured {number(measured)} {unit}\npredicted {number(predicted)} {unit}",
            shape=shape,
        )
        for measured, predicted in pairs
    ]


def _is_accuracy(title: str) -> bool:
    return title.startswith("accuracy")


def _mape_words(pairs: Pairs) -> str:
    errors = [abs(predicted / measured - 1) for measured, predicted in pairs if measured]
    return f", mean absolute error {100 * sum(errors) / len(errors):.1f} % (MAPE)" if errors else ""


def _member_plot(key: str, models: Iterable[Model], device: str) -> Plot | None:
    marks = [
        Mark(
            figure.value,
            figure.predicted,
            f"{model.id}\nmeasured {number(figure.value)} ms\npredicted {number(figure.predicted)} ms",
            model=model.id,
        )
        for model in models
        if (figure := model.latency_ms.get(device)) and figure.predicted is not None
    ]
    if not marks:
        return None
    words = f"{len(marks)} models" + _mape_words([(mark.x, mark.y) for mark in marks])
    title = f"{device}: models of the front"
    return _against(key, title, "ms", [Series(device, marks, 0)], words)


def _against(key: str, title: str, unit: str, series: Sequence[Series], words: str) -> Plot:
    return Plot(
        key=key,
        heading=title,
        label=f"Predicted against measured, {title}; {words}",
        x_label=f"measured, {unit}",
        y_label=f"predicted, {unit}",
        series=series,
        diagonal=True,
        note=words,
    )


def _score_words(scored: Scored, is_accuracy: bool) -> str:
    score = scored.score
    forms = (
        ("mape_percent", "mean absolute error {:.1f} % (MAPE)"),
        ("rmse", "root mean square error {:.3g}"),
        ("within_5_percent", "{:.0f} % within 5 %"),
        ("within_10_percent", "{:.0f} % within 10 %"),
        ("spearman", "Spearman {:.3f}"),
        ("kendall_tau", "Kendall tau {:.3f}"),
        ("coverage_90", "{:.0%} inside the 90 % interval"),
    )
    words = [f"model {scored.model}"] if scored.model else []
    words += [f"{score.get('n') or len(scored.pairs)} architectures"]
    relative = ("mape_percent", "within_5_percent", "within_10_percent")
    for key, form in forms:
        value = score.get(key)
        if value is not None and not (is_accuracy and key in relative):
            words.append(form.format(value))
    return ", ".join(words)


def _progress_series(rows: Sequence[Progress], device: str, colour: int, measured: bool) -> list[Series]:
    """One line a device; a line each round where predictors, refitted, begin again."""
    here = [row for row in rows if row.device == device]
    rounds = (
        [here]
        if measured
        else [[row for row in here if row.round == n] for n in sorted({r.round for r in here})]
    )
    return [
        Series(
            device or "all devices",
            [_progress_mark(row) for row in part],
            colour,
            joined=True,
            stepped=measured,
            dots=measured,
            listed=n == 0,
        )
        for n, part in enumerate(part for part in rounds if part)
    ]


def _progress_mark(row: Progress) -> Mark:
    where = f"{row.device}, " if row.device else ""
    return Mark(
        row.evaluations,
        row.hypervolume,
        f"{where}round {row.round}\n{row.evaluations:,}: {number(row.hypervolume)}",
    )


def _group_plot(run: Run, key: str, group: str) -> Plot:
    devices = set(group.split("+")) if group else set(run.front.device_names)
    models = [model for model in run.front.candidates if model.device in devices]
    found = [
        _point_mark(f"found {one.id}", one.latency.value, one.accuracy_top1_test or one.accuracy_top1, one.id)
        for one in models
    ]
    series = [Series("found", found, _METHOD_COLOUR)]
    for title, baseline in run.baselines.items():
        method, where = baseline_words(title)
        if where == group and baseline.points:
            marks = [_point_mark(method, ms, Figure(value=y)) for ms, y in baseline.points]
            series.append(Series(method, marks, _METHOD_COLOUR + len(series)))
    return Plot(
        key=key,
        heading=group or "all devices",
        label=f"Accuracy against measured latency: {', '.join(one.name for one in series)}",
        x_label="latency, ms",
        y_label="accuracy, %",
        series=series,
    )


def _point_mark(who: str, latency_ms: float, accuracy: Figure, model: str | None = None) -> Mark:
    title = f"{who}\n{accuracy.value:.2f} % at {number(latency_ms)} ms"
    shape: Shape = "diamond" if model else "circle"
    return Mark(latency_ms, accuracy.value, title, y_interval=_ends(accuracy), shape=shape, model=model)
