"""The plots of the page: front, predictions, convergence, baselines."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from hwnas.report.html import Html, element, join, name, text
from hwnas.report.plot import Mark, Plot, Series, Shape, draw, legend, number
from hwnas.report.run import Figure, Model, Progress, Run, Scored

Pairs = Sequence[tuple[float, float]]

_METHODS = {"random": "uniformly random", "compound_scaled": "compound scaling"}
# Away from the first devices' colours.
_METHOD_COLOUR = 3


def front_figure(run: Run) -> Html:
    """Returns the plot of accuracy against latency, a colour for each device."""
    devices = run.front.device_names
    limits = sorted(
        {(t, f"target {number(t)} ms") for d in devices if (t := run.front.target_ms(d)) is not None}
    )
    plot = Plot(
        label=f"Accuracy against latency of {len(run.front.candidates)} models on {', '.join(devices)}",
        x_label="latency, ms",
        y_label="accuracy, %",
        series=[_front_series(run.front.candidates, device, n) for n, device in enumerate(devices)],
        limits=limits,
        width=1080,
        height=480,
    )
    shapes: list[tuple[str, int | None, Shape]] = [
        ("floating point", None, "circle"),
        ("quantized in part", None, "diamond"),
        ("quantized throughout", None, "square"),
    ]
    entries: list[tuple[str, int | None, Shape]] = [(device, n, "circle") for n, device in enumerate(devices)]
    return element(
        "figure",
        None,
        element("div", {"class": "wide"}, draw(plot)),
        element("div", {"class": "narrow"}, draw(replace(plot, width=440, height=380))),
        legend([*entries, *shapes]),
        element(
            "figcaption",
            None,
            text(
                "Bars are 95 % intervals. Pale marks are the same models where another device is the one "
                "to deploy on. Point at a mark for its figures; the table below has them all."
            ),
        ),
    )


def prediction_figures(run: Run) -> Html:
    """Returns plots of predicted against measured: held out for each predictor, then what was proposed."""
    scored = list(run.predictors.items())
    figures = [_scored_figure(title, one, n) for n, (title, one) in enumerate(scored)]
    figures += [_verified_figure(title, one, n) for n, (title, one) in enumerate(scored) if one.verified]
    if not any(one.verified for _, one in scored):
        devices = enumerate(run.front.device_names)
        members = (_member_figure(run.front.candidates, device, n) for n, device in devices)
        figures += [figure for figure in members if figure]
    return element("div", {"class": "plots"}, *figures)


def convergence_figures(run: Run) -> Html:
    """Returns plots of the hypervolume: what was measured, and what the predictors expected."""
    searched = {row.device for row in run.convergence}
    devices = [*run.front.device_names, *sorted(searched - set(run.front.device_names))]
    figures = []
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
        used: list[tuple[str, int | None, Shape]] = [
            (device or "all devices", n, "circle")
            for n, device in enumerate(devices)
            if any(row.device == device for row in rows)
        ]
        plot = Plot(label=label, x_label=x_label, y_label="hypervolume, % x ms", series=series)
        figures.append(_figure(heading, draw(plot), legend(used)))
    return element("div", {"class": "plots"}, *figures)


def baseline_figures(run: Run) -> Html:
    """Returns plots of what was found beside what is easy to have, one for each group of devices."""
    groups = dict.fromkeys(baseline_words(title)[1] for title, one in run.baselines.items() if one.points)
    return element("div", {"class": "plots"}, *(_group_figure(run, group) for group in groups))


def baseline_words(title: str) -> tuple[str, str]:
    """Returns the method and the devices (joined by `+`, empty for all) that `METHOD on DEVICES` names."""
    method, _, group = title.partition(" on ")
    return _METHODS.get(method, method), group


def interval(figure: Figure, digits: int = 2) -> str:
    """Returns `± W`, or both ends where an interval is lopsided; empty without one."""
    if figure.low is None or figure.high is None:
        return ""
    below, above = figure.value - figure.low, figure.high - figure.value
    if abs(below - above) <= 0.2 * max(below, above):
        return f"± {(below + above) / 2:.{digits}f}"
    return f"{figure.low:.{digits}f} to {figure.high:.{digits}f}"


def _front_series(models: Sequence[Model], device: str, colour: int) -> Series:
    here = sorted(
        (model for model in models if device in model.latency_ms), key=lambda m: m.latency_ms[device].value
    )
    return Series(device, [_front_mark(model, device) for model in here], colour, joined=True)


def _front_mark(model: Model, device: str) -> Mark:
    latency, accuracy = model.latency_ms[device], model.accuracy_top1
    share = model.quantized_share
    bits = "floating point" if share == 0 else f"{100 * share:.0f} % of layers quantized"
    title = (
        f"{model.id} on {device}: {accuracy.value:.2f} % {interval(accuracy)} {accuracy.kind}, "
        f"{number(latency.value)} ms {latency.kind}"
        + (f", p95 {number(latency.p95)} ms" if latency.p95 is not None else "")
        + f"; {bits}"
        + ("" if device == model.device else f"; better deployed on {model.device}")
    )
    return Mark(
        x=latency.value,
        y=accuracy.value,
        title=title,
        x_interval=_ends(latency) if latency.low is None or latency.low > 0 else None,
        y_interval=_ends(accuracy),
        shape="circle" if share == 0 else "square" if share == 1 else "diamond",
        faint=device != model.device,
    )


def _ends(figure: Figure) -> tuple[float, float] | None:
    return None if figure.low is None or figure.high is None else (figure.low, figure.high)


def _scored_figure(title: str, scored: Scored, colour: int) -> Html:
    words = _score_words(scored, is_accuracy=_is_accuracy(title))
    return _pairs_figure(f"{title}: held-out architectures", title, scored.pairs, colour, words)


def _verified_figure(title: str, scored: Scored, colour: int) -> Html:
    words = f"{len(scored.verified)} proposals" + _mape_words(scored.verified)
    return _pairs_figure(f"{title}: what the search proposed", title, scored.verified, colour, words)


def _pairs_figure(heading: str, title: str, pairs: Pairs, colour: int, words: str) -> Html:
    unit = "%" if _is_accuracy(title) else "ms"
    marks = [
        Mark(measured, predicted, f"measured {number(measured)} {unit}, predicted {number(predicted)} {unit}")
        for measured, predicted in pairs
    ]
    return _against(heading, unit, Series(title, marks, colour), words)


def _is_accuracy(title: str) -> bool:
    return title.startswith("accuracy")


def _mape_words(pairs: Pairs) -> str:
    errors = [abs(predicted / measured - 1) for measured, predicted in pairs if measured]
    return f", mean absolute error {100 * sum(errors) / len(errors):.1f} % (MAPE)" if errors else ""


def _member_figure(models: Iterable[Model], device: str, colour: int) -> Html | None:
    pairs = [
        (model.id, figure.value, figure.predicted)
        for model in models
        if (figure := model.latency_ms.get(device)) and figure.predicted is not None
    ]
    if not pairs:
        return None
    marks = [
        Mark(measured, predicted, f"{who}: measured {number(measured)} ms, predicted {number(predicted)} ms")
        for who, measured, predicted in pairs
    ]
    words = f"{len(marks)} models" + _mape_words([(mark.x, mark.y) for mark in marks])
    return _against(f"{device}: models of the front", "ms", Series(device, marks, colour), words)


def _against(title: str, unit: str, series: Series, words: str) -> Html:
    plot = Plot(
        label=f"Predicted against measured, {title}; {words}",
        x_label=f"measured, {unit}",
        y_label=f"predicted, {unit}",
        series=[series],
        diagonal=True,
    )
    return _figure(title, draw(plot), element("figcaption", None, text(words)))


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
            device,
            [_progress_mark(row) for row in part],
            colour,
            joined=True,
            stepped=measured,
            dots=measured,
        )
        for part in rounds
        if part
    ]


def _progress_mark(row: Progress) -> Mark:
    where = f"{row.device}, " if row.device else ""
    return Mark(
        row.evaluations,
        row.hypervolume,
        f"{where}round {row.round}: {row.evaluations}, {number(row.hypervolume)}",
    )


def _group_figure(run: Run, group: str) -> Html:
    devices = set(group.split("+")) if group else set(run.front.device_names)
    models = [model for model in run.front.candidates if model.device in devices]
    found = [
        _point_mark(
            f"found {one.id}", one.latency.value, one.accuracy_top1_test or one.accuracy_top1, "diamond"
        )
        for one in models
    ]
    series = [Series("found", found, _METHOD_COLOUR)]
    for title, baseline in run.baselines.items():
        method, where = baseline_words(title)
        if where == group and baseline.points:
            marks = [_point_mark(method, ms, Figure(value=y), "circle") for ms, y in baseline.points]
            series.append(Series(method, marks, _METHOD_COLOUR + len(series)))
    plot = Plot(
        label=f"Accuracy against measured latency: {', '.join(one.name for one in series)}",
        x_label="latency, ms",
        y_label="accuracy, %",
        series=series,
    )
    shapes: list[Shape] = ["diamond", *["circle"] * (len(series) - 1)]  # type: ignore[list-item]
    entries = [(one.name, one.colour, shape) for one, shape in zip(series, shapes, strict=True)]
    return _figure(group or "all devices", draw(plot), legend(entries))


def _point_mark(who: str, latency_ms: float, accuracy: Figure, shape: Shape) -> Mark:
    title = f"{who}: {accuracy.value:.2f} % at {number(latency_ms)} ms"
    return Mark(latency_ms, accuracy.value, title, y_interval=_ends(accuracy), shape=shape)


def _figure(heading: str, *parts: Html) -> Html:
    return element("figure", None, element("h3", None, name(heading)), join(*parts))
