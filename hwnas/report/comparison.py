"""Devices side by side: what the best model of each is worth on the others."""

from hwnas.report.forms import Fleet, Model
from hwnas.report.fronts import device_plots
from hwnas.report.html import Html, element, name, text
from hwnas.report.models import latency_words
from hwnas.report.parts import cell, paragraph, plots, section, table
from hwnas.report.run import Run


def devices_section(run: Run) -> Html | None:
    """Returns the comparison of devices; None where there is only one."""
    devices = run.front.device_names
    if len(devices) < 2 or not run.front.candidates:
        return None
    best = {device: model for device in devices if (model := best_on(run, device))}
    words = (
        "Each device's best is the most accurate model of the front whose p95 there is within the target. "
        "The other columns say what it is worth elsewhere: how slow it is, and how many points of "
        "accuracy it gives away against that device's own best."
    )
    caption = "The best model of each device, carried over to the others."
    rows = [_row(run, device, model, best) for device, model in best.items()]
    header = ["best for", "model", *devices]
    carried = table(caption, header, rows, numeric=range(2, 2 + len(devices)))
    fleet = _fleet(run.front.fleet) if run.front.fleet else []
    return section(
        "devices", "Devices side by side", paragraph(words), plots(device_plots(run)), carried, *fleet
    )


def best_on(run: Run, device: str) -> Model | None:
    """Returns the most accurate model within a device's target, the faster one of equals."""
    target = run.front.target_ms(device)
    bounds = [(model, bound) for model in run.front.candidates if (bound := model.bound_ms(device))]
    within = [(model, bound) for model, bound in bounds if target is None or bound <= target]
    return max(within, key=lambda one: (one[0].accuracy_top1.value, -one[1]))[0] if within else None


def _fleet(fleet: Fleet) -> list[Html]:
    """The one model for all devices, beside what each device's best would give away elsewhere."""
    if fleet.id is None:
        return [paragraph("No one model keeps every device's target: each device needs its own.")]
    rows = [_fleet_row("one model for all", fleet.id, max(fleet.regret_points.values(), default=0.0))]
    for group, worst in fleet.carried_over.items():
        words = f"the best for {group}"
        rows.append(
            _fleet_row(words, worst.id, worst.worst_regret_points) if worst else _fleet_row(words, "–", None)
        )
    given = ", ".join(
        f"{points:.2f} points on {group}" + _where(group, fleet)
        for group, points in fleet.regret_points.items()
    )
    return [
        element("h3", None, text("One model for the fleet: "), element("code", None, name(fleet.id))),
        paragraph(
            f"It gives away {given}, against the best model found for each; no other loses less at worst."
        ),
        table(
            "The most points of accuracy given away on any device.",
            ["choice", "model", "at worst, points"],
            rows,
            numeric=range(2, 3),
        ),
    ]


def _where(group: str, fleet: Fleet) -> str:
    device = fleet.deploy_on.get(group)
    return f" (run it on {device})" if device and device != group else ""


def _fleet_row(words: str, model: str, worst: float | None) -> Html:
    return element(
        "tr",
        None,
        element("th", {"scope": "row"}, name(words)),
        element("td", None, element("code", None, name(model))),
        cell("misses a target" if worst is None else f"{worst:.2f}"),
    )


def _row(run: Run, device: str, model: Model, best: dict[str, Model]) -> Html:
    return element(
        "tr",
        None,
        element("th", {"scope": "row"}, name(device)),
        element("td", None, element("code", None, text(model.id))),
        *(_carried(run, model, other, best.get(other)) for other in run.front.device_names),
    )


def _carried(run: Run, model: Model, device: str, own: Model | None) -> Html:
    latency, bound, target = (
        model.latency_ms.get(device),
        model.bound_ms(device),
        run.front.target_ms(device),
    )
    if latency is None or bound is None:
        return cell("not measured")
    notes = [f"p95 {latency_words(bound)} ms" if latency.p95 is not None else latency.kind]
    if target is not None and bound > target:
        notes.append(f"misses {latency_words(target)} ms")
    elif own is not None:
        behind = own.accuracy_top1.value - model.accuracy_top1.value
        notes.append("its own best" if own is model else f"{behind:.2f} points behind")
    return cell(f"{latency_words(latency.value)} ms", *notes)
