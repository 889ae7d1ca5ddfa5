"""What the plots of a front show: accuracy against latency and costs, and devices side by side."""

from collections.abc import Sequence

from hwnas.report.forms import Front, Model
from hwnas.report.plot import Mark, Plot, Series, Shape, number
from hwnas.report.run import Run

# Label, field and what a unit of the plot is, for figures that no device changes.
_COSTS = (
    ("size", "size", "size_bytes", (("kB", 1e3), ("MB", 1e6))),
    ("macs", "MACs", "macs", (("M", 1e6), ("G", 1e9))),
    ("memory", "peak memory", "peak_memory_bytes", (("kB", 1e3), ("MB", 1e6))),
    ("energy", "energy", "energy_value_mj", (("mJ", 1.0), ("J", 1e3))),
)


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
        f"{model.id} for {model.device}\n{accuracy.value:.2f} % {accuracy.interval()} {accuracy.kind}\n"
        + words.format(number(value))
    )
    return Mark(value, accuracy.value, title, None, accuracy.ends, _shape(model), model=model.id)


def _device_mark(model: Model, first: str, other: str) -> Mark:
    one, two = model.latency_ms[first], model.latency_ms[other]
    title = (
        f"{model.id}, {model.accuracy_top1.value:.2f} %\n{first}: {number(one.value)} ms {one.kind}\n"
        f"{other}: {number(two.value)} ms {two.kind}"
    )
    return Mark(one.value, two.value, title, one.ends, two.ends, _shape(model), model=model.id)


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
        f"{accuracy.value:.2f} % {accuracy.interval()} {accuracy.kind}",
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
        x_interval=latency.ends if latency.low is None or latency.low > 0 else None,
        y_interval=accuracy.ends,
        shape=_shape(model),
        faint=not deployed,
        model=model.id,
    )


def _shape(model: Model) -> Shape:
    share = model.quantized_share
    return "circle" if share == 0 else "square" if share == 1 else "diamond"
