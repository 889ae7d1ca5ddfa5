"""What the plots of a run show: predictions, convergence, baselines; and the list of all plots."""

from collections.abc import Iterable, Sequence

from hwnas.report.forms import Convergence, Figure, Model, Scored
from hwnas.report.fronts import device_plots, front_plots
from hwnas.report.plot import Mark, Plot, Series, Shape, keys, number
from hwnas.report.run import Run

Pairs = Sequence[tuple[float, float]]

_METHODS = {"random": "uniformly random", "compound_scaled": "compound scaling"}
# Away from the first devices' colours.
_METHOD_COLOUR = 3


def paper_plots(run: Run) -> list[Plot]:
    """Returns every plot of a run, in the order of its page."""
    parts = (front_plots, device_plots, prediction_plots, convergence_plots, baseline_plots)
    return [plot for part in parts for plot in part(run)]


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
            for line in _convergence_series(rows, device, n, stage == "measured")
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


def _convergence_series(
    rows: Sequence[Convergence], device: str, colour: int, measured: bool
) -> list[Series]:
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
            [_convergence_mark(row) for row in part],
            colour,
            joined=True,
            stepped=measured,
            dots=measured,
            listed=n == 0,
        )
        for n, part in enumerate(part for part in rounds if part)
    ]


def _convergence_mark(row: Convergence) -> Mark:
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
    return Mark(latency_ms, accuracy.value, title, y_interval=accuracy.ends, shape=shape, model=model)
