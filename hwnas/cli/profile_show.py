"""What `hwnas profile` says at its end: as JSON, and as tables for people."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.cli.output import print_table, say
from hwnas.cli.profile_table import show_table
from hwnas.profilers.energy.summary import describe_energy, energy_line
from hwnas.profilers.stability import Spread, Stability
from hwnas.units import format_size_bytes, format_time_ms

if TYPE_CHECKING:
    from hwnas.export.profiling import DeviceProfile
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


def result_of(found: "DeviceProfile", *, device: str, space: str, store: Path | None) -> dict[str, Any]:
    """Returns all there is to say of a profile, as a JSON object.

    Args:
        found: the profile.
        device, space, store: as the user named them, for the command to go on with.
    """
    taken, stability = found.measurements, Stability.of(found.measurements)
    fastest, middle, slowest = (
        described(found.device, found.candidates, row, taken[row])
        for row in (found.fastest_first[0], found.middle, found.fastest_first[-1])
    )
    result = {
        "device": found.device.name,
        "space": space,
        "kind": taken[0].kind,
        "measured": len(taken),
        "stable": stability.stable,
        "stability": stability.to_json(),
        "tuned_flops_percent": _spread(taken, "tuned_flops_percent"),
        "ruled_flops_percent": _spread(taken, "ruled_flops_percent"),
        "held_out": found.latency.fit.score.to_json(),
        "fastest": fastest,
        "slowest": slowest,
        "conditions": dict(taken[-1].conditions),
        "next": next_command(middle, device=device, space=space, store=store),
        "newly_measured": found.newly_measured,
        "repeated": found.repeated,
        "groups": found.groups,
        "seconds": round(found.measuring_s, 1),
        "predictor": str(found.latency.path),
        "model": found.latency.fit.predictor.model,
    }
    if found.energy:
        held_out = found.energy.fit.score.to_json()
        result["energy"] = describe_energy(taken) | {
            "held_out": held_out,
            "predictor": str(found.energy.path),
        }
    parts = found.breakdown
    result["breakdown"] = parts and {"id": found.candidates.ids[found.middle]} | parts.to_json()
    if found.table:
        result["table"] = found.table.to_json()
    return result


def _spread(taken: "Sequence[Measurement]", condition: str) -> dict[str, float] | None:
    """Least, median and largest of a condition of the measurements that have it; None where none has."""
    spread = Spread.of(one.conditions.get(condition) for one in taken)
    return spread.to_json() if spread else None


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


def next_command(middle: dict[str, Any], *, device: str, space: str, store: Path | None = None) -> str:
    """Returns a command to go on with; a search's target is one that half of the networks miss.

    Spaces other than the demo's need a supernet to be searched, which may not be there yet, but
    their latencies can be asked for.
    """
    if space == "demo":
        target = format_time_ms(middle["latency_ms"]["value"])
        words = ["hwnas", "search", "--target-latency", target, "--device", device]
    else:
        words = ["hwnas", "predict", "--device", device, "--space", space]
        words += ["--architecture", json.dumps(middle["architecture"], separators=(",", ":"))]
    return shlex.join([*words, *(["--store", str(store)] if store else [])])


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
