"""What `hwnas profile` says at its end: as JSON, and as tables for people."""

import json
import shlex
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hwnas.cli.output import print_table, say
from hwnas.cli.profile_table import show_table
from hwnas.profilers.energy.summary import energy_line
from hwnas.units import format_size_bytes, format_time_ms

if TYPE_CHECKING:
    from hwnas.cli.profile_request import Request
    from hwnas.predictors.metrics import Score
    from hwnas.profilers import Device, Measurement
    from hwnas.spaces import Candidates

_FIGURES = {
    "mape_percent": "MAPE %",
    "rmse": "RMSE",
    "within_5_percent": "within 5 %",
    "within_10_percent": "within 10 %",
    "spearman": "Spearman",
    "kendall_tau": "Kendall tau",
    "coverage_90": "coverage of 90 %",
    "n": "n",
}


def result_of(
    request: "Request",
    device: "Device",
    candidates: "Candidates",
    taken: "Sequence[Measurement]",
    order: Sequence[int],
    score: "Score",
) -> dict[str, Any]:
    """Returns what is said of the networks measured, as a JSON object.

    Args:
        request: the options.
        device: that measured.
        candidates: n networks.
        taken: their measurements.
        order: rows from the fastest to the slowest.
        score: of the predictor on held-out networks.
    """
    found = stability(taken)
    fastest, middle, slowest = (
        described(device, candidates, row, taken[row])
        for row in (order[0], order[len(order) // 2], order[-1])
    )
    return {
        "device": device.name,
        "space": request.space,
        "kind": taken[0].kind,
        "measured": len(taken),
        "stable": found["stable"],
        "stability": found,
        "tuned_flops_percent": _spread([one.conditions.get("tuned_flops_percent") for one in taken]),
        "ruled_flops_percent": _spread([one.conditions.get("ruled_flops_percent") for one in taken]),
        "held_out": score.to_json(),
        "fastest": fastest,
        "slowest": slowest,
        "conditions": dict(taken[-1].conditions),
        "next": next_command(request, middle),
    }


def stability(taken: "Sequence[Measurement]") -> dict[str, Any]:
    """Returns how many measurements are stable, how far drift was corrected, and why the first is not."""
    corrections = [
        100 * abs(one.raw_latency_ms / one.latency_ms - 1) for one in taken if one.raw_latency_ms is not None
    ]
    reasons = [one.reasons[0] for one in taken if one.verdict == "unstable" and one.reasons]
    stable = sum(one.verdict == "stable" for one in taken)
    return {
        "stable": stable,
        "unstable": len(taken) - stable,
        "drift_corrected_percent": _spread(corrections),
        "first_reason": reasons[0] if reasons else None,
    }


def _spread(values: Sequence[float | None]) -> dict[str, float] | None:
    """Least, median and largest of the values that there are; None where there are none."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return None
    return {"least": known[0], "median": statistics.median(known), "largest": known[-1]}


def described(device: "Device", candidates: "Candidates", row: int, one: "Measurement") -> dict[str, Any]:
    """Returns a measured network: what it is, its latency, peak memory and, where taken, energy.

    `peak_memory_bytes` is the least that its activations need; `planned_memory` what the device's
    artefact sets aside for them, None where the runtime decides as it goes.
    """
    planned = device.planned_memory(candidates.layers(row))
    result: dict[str, Any] = {
        "id": candidates.ids[row],
        "latency_ms": {"value": one.latency_ms, "kind": one.kind, "p95": one.p95_ms},
        "peak_memory_bytes": int(candidates[[row]].costs().peak_memory_bytes[0]),
        "planned_memory": planned and planned.to_json(),
        "architecture": candidates[[row]].unpack()[0].to_json(),
    }
    if one.energy_mj is not None:
        result["energy_mj"] = {"value": one.energy_mj, "kind": one.energy_source}
    return result


def next_command(request: "Request", middle: dict[str, Any]) -> str:
    """Returns a command to go on with; a search's target is one that half of the networks miss.

    Spaces other than the demo's need a supernet to be searched, which may not be there yet, but
    their latencies can be asked for.
    """
    if request.space == "demo":
        target = format_time_ms(middle["latency_ms"]["value"])
        words = ["hwnas", "search", "--target-latency", target, "--device", request.device]
    else:
        words = ["hwnas", "predict", "--device", request.device, "--space", request.space]
        words += ["--architecture", json.dumps(middle["architecture"], separators=(",", ":"))]
    return shlex.join([*words, *(["--store", str(request.store)] if request.store else [])])


def show(result: dict[str, Any]) -> None:
    """Prints the result for people: tables on stdout, lines on stderr."""
    _show_measured(result)
    _show_networks(result)
    _show_scores(result)
    if "table" in result:
        show_table(result["table"], result["device"])
    _show_breakdown(result)
    say(f"next: {result['next']}")


def _show_measured(result: dict[str, Any]) -> None:
    new = result["newly_measured"]
    say(
        f"{result['measured']} networks of {result['space']} on {result['device']}: {new} measured now, "
        f"in {result['groups']} groups and {result['seconds'] / 60:.1f} min; "
        f"{result['measured'] - new} known before"
    )
    found = result["stability"]
    line = f"{found['stable']} stable, {found['unstable']} unstable"
    drift = found["drift_corrected_percent"]
    if drift:
        line += f"; drift corrected by {drift['median']:.1f} % (median), {drift['largest']:.1f} % (largest)"
    line += f"; {result['repeated']} measured again" if result["repeated"] else ""
    say(line)
    if found["first_reason"]:
        say(f"unstable, for example: {found['first_reason']}")
    pack = result["conditions"].get("pack")
    tuned, ruled = result["tuned_flops_percent"], result["ruled_flops_percent"]
    if pack:
        say(f"schedule pack: {pack}")
    if tuned and ruled:
        say(
            f"of the operations {tuned['median']:.0f} % run in tuned kernels and {ruled['median']:.0f} % in "
            "kernels scheduled by rule (medians)"
        )


def _show_networks(result: dict[str, Any]) -> None:
    names = ("fastest", "slowest")
    planned = any(result[name]["planned_memory"] for name in names)
    energy = any("energy_mj" in result[name] for name in names)
    columns = ["network", "id", result["kind"], "p95", "peak memory"]
    columns += (["planned"] if planned else []) + (["energy"] if energy else [])
    print_table(columns, [_network(name, result[name], planned, energy) for name in names])


def _network(name: str, one: dict[str, Any], planned: bool, energy: bool) -> list[str]:
    latency = one["latency_ms"]
    cells = [name, one["id"], format_time_ms(latency["value"]), format_time_ms(latency["p95"])]
    cells.append(format_size_bytes(one["peak_memory_bytes"]))
    if planned:
        memory = one["planned_memory"]
        cells.append(format_size_bytes(memory["total_bytes"]) if memory else "-")
    if energy:
        figure = one.get("energy_mj")
        cells.append(f"{figure['value']:.4g} mJ, {figure['kind']}" if figure else "-")
    return cells


def _show_scores(result: dict[str, Any]) -> None:
    rows = [["latency, ms", *_figures(result["held_out"])]]
    if "energy" in result:
        rows.append(["energy, mJ", *_figures(result["energy"]["held_out"])])
        say(energy_line(result["energy"]))
    print_table(["predictor", *_FIGURES.values()], rows, title="predictors on held-out networks")
    left_out = result["measured"] - result["held_out"]["n"]
    if left_out:
        say(f"without the {left_out} networks whose measurements were unstable")
    if result["model"].endswith("+sources"):
        say("fitted on top of what the store knows of other devices, which told more than this one alone")


def _figures(held_out: dict[str, Any]) -> list[str]:
    return ["-" if held_out.get(key) is None else f"{held_out[key]:.4g}" for key in _FIGURES]


def _show_breakdown(result: dict[str, Any]) -> None:
    found = result["breakdown"]
    if found is None:
        say(f"where the time goes: {result['device']} cannot tell the time of its layers")
        return
    rows = [[one["kind"], f"{one['ms']:.4f}", f"{one['percent']:.1f}"] for one in found["shares"]]
    print_table(["layer kind", "ms", "share %"], rows, title="where the time goes")
    asking = f", less {1e3 * found['telling_ms']:.1f} us a part for asking" if found["telling_ms"] else ""
    say(f"that is network {found['id']}, which half of the others are faster than{asking}")
