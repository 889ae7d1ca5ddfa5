"""`hwnas profile`: measures a device, fits its latency predictor, and says how good it is."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli.options import DeviceName, Json, Seed, SpaceName, StoreFile, usable_device
from hwnas.cli.output import print_json, print_table, say, showing_progress

if TYPE_CHECKING:
    from hwnas.profilers import Device, Measurement
    from hwnas.progress import Progress
    from hwnas.spaces import Candidates, Space

EXAMPLE = "hwnas profile --device cpu-ort --space demo --samples 60"


def profile(
    device: DeviceName,
    space: SpaceName = "demo",
    samples: Annotated[int, typer.Option("--samples", min=3, help="Networks to measure.")] = 80,
    budget: Annotated[
        str | None, typer.Option("--budget", help="Begin no new group after this time, such as 10min.")
    ] = None,
    bits: Annotated[
        str | None, typer.Option("--bits", help="Bitwidths to draw from, such as 32,8; all it runs.")
    ] = None,
    tune_budget: Annotated[
        str | None,
        typer.Option(
            "--tune-budget", help="First tune kernels for this processor for so long (TVM devices)."
        ),
    ] = None,
    table_out: Annotated[
        Path | None, typer.Option("--table-out", help="Write the block table (table and model devices).")
    ] = None,
    table_in: Annotated[
        Path | None,
        typer.Option("--import", help="Check a block table; then use it as --device table:FILE."),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Measure anew what the store knows.")] = False,
    store: StoreFile = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Measures, stores, fits and scores the device's latency predictor."""
    from hwnas.cli.options import parsed_bits
    from hwnas.predictors import fit_and_score
    from hwnas.predictors.places import predictor_path
    from hwnas.spaces import open_space
    from hwnas.units import parse_time_ms

    chosen = open_space(space)
    budget_s = parse_time_ms(budget, "--budget") / 1e3 if budget else None
    tune_s = parse_time_ms(tune_budget, "--tune-budget") / 1e3 if tune_budget else None
    wanted = parsed_bits(bits)
    with showing_progress() as progress:
        if tune_s is not None:
            _tune(device, chosen, tune_s, progress)
        if table_in:
            _check_table(table_in, chosen)
        target = usable_device(device, chosen)
        if table_out:
            _write_table(target, chosen, table_out)
        candidates = _sampled(target, chosen, samples, wanted, seed)
        measurements = _measured(target, candidates, store, again, budget_s, progress)
        candidates = candidates[: len(measurements)]
        fitted = fit_and_score(chosen, candidates, [one.latency_ms for one in measurements], seed=seed)
    path = predictor_path(target, chosen, store)
    fitted.predictor.save(path)
    result = _result(device, space, candidates, measurements, fitted.score.to_json(), path)
    if as_json:
        print_json(result)
        return
    _show(result)


def _tune(name: str, space: "Space", budget_s: float, progress: "Progress") -> None:
    from hwnas.errors import InputError
    from hwnas.profilers import get_device
    from hwnas.profilers.tvm.device import TvmDevice
    from hwnas.profilers.tvm.making import tune_space
    from hwnas.profilers.tvm.tuning import TuningProgress

    if not isinstance(get_device(name, space), TvmDevice):
        raise InputError(
            f"--tune-budget is for devices that tune kernels (cpu), not for '{name}': leave it out"
        )

    def on_progress(state: TuningProgress) -> None:
        progress.say(
            f"tuning: {state.tuned} of {state.kernels} kernels have schedules, {state.trials} trials, "
            f"{state.elapsed_s:.0f} of {budget_s:.0f} s"
        )

    result = tune_space(space, budget_s, on_progress=on_progress)
    if result.pack is None:
        raise InputError(
            f"--tune-budget ended with {result.progress.tuned} of {result.progress.kernels} kernels tuned; "
            "repeat the command to go on"
        )
    progress.say(f"schedule pack: {result.pack}")


def _check_table(path: Path, space: "Space") -> None:
    from hwnas.profilers import get_device
    from hwnas.spaces import Candidates

    device = get_device(f"table:{path}", space)
    candidates = Candidates.of_architectures(space, space.covering(), device.bits[0])
    missing = {
        layer for row in range(len(candidates)) for layer in candidates.layers(row) if device.refusal(layer)
    }
    say(
        f"{path}: bits {', '.join(map(str, device.bits))}; it misses {len(missing)} blocks of {space.name}; "
        f"use it with --device table:{path}"
    )


def _write_table(device: "Device", space: "Space", path: Path) -> None:
    from hwnas.errors import InputError
    from hwnas.profilers.simulated import SimulatedDevice
    from hwnas.profilers.table_file import write_table

    if not isinstance(device, SimulatedDevice):
        raise InputError(
            f"--table-out is for devices that are a table or a model, but '{device.name}' is measured as "
            "whole networks; leave it out"
        )
    write_table(path, device.table(space))
    say(f"wrote {path}")


def _sampled(
    device: "Device", space: "Space", samples: int, bits: tuple[int, ...], seed: int
) -> "Candidates":
    import numpy as np

    from hwnas.errors import InputError
    from hwnas.search.sample import first_sample, floats_first

    usable = floats_first([b for b in device.bits if not bits or b in bits])
    if not usable:
        raise InputError(
            f"--bits must hold one of {device.bits}, the bitwidths of '{device.name}', but got {bits}"
        )
    return first_sample(space, usable, samples, np.random.default_rng(seed))[0]


def _measured(
    device: "Device",
    candidates: "Candidates",
    store: Path | None,
    again: bool,
    budget_s: float | None,
    progress: "Progress",
) -> "list[Measurement]":
    from hwnas.errors import InputError
    from hwnas.profilers import Store, default_store_path
    from hwnas.profilers.profile import profile as measure

    with Store(store or default_store_path()) as opened:
        taken = measure(device, candidates, opened, progress=progress, again=again, budget_s=budget_s)
    if len(taken) < 3:
        raise InputError(
            f"--budget ended after {len(taken)} networks, too few to fit a predictor; allow more time"
        )
    return taken


def _result(
    device: str,
    space: str,
    candidates: "Candidates",
    taken: "list[Measurement]",
    score: dict[str, Any],
    path: Path,
) -> dict[str, Any]:
    ordered = sorted(range(len(taken)), key=lambda row: taken[row].latency_ms)
    described = [
        {
            "id": candidates.ids[row],
            "latency_ms": {"value": taken[row].latency_ms, "kind": taken[row].kind, "p95": taken[row].p95_ms},
            "architecture": candidates[[row]].unpack()[0].to_json(),
        }
        for row in (ordered[0], ordered[-1])
    ]
    conditions = {name: value for one in taken[-1:] for name, value in one.conditions.items()}
    return {
        "device": device,
        "space": space,
        "kind": taken[0].kind,
        "measured": len(taken),
        "stable": sum(one.verdict == "stable" for one in taken),
        "held_out": score,
        "fastest": described[0],
        "slowest": described[1],
        "conditions": conditions,
        "predictor": str(path),
    }


def _show(result: dict[str, Any]) -> None:
    from hwnas.units import format_time_ms

    held_out = result["held_out"]
    say(
        f"{result['measured']} networks of {result['space']} on {result['device']}, {result['stable']} stable"
    )
    if "pack" in result["conditions"]:
        say(f"schedule pack: {result['conditions']['pack']}")
    rows = [
        [
            name,
            one["id"],
            format_time_ms(one["latency_ms"]["value"]),
            format_time_ms(one["latency_ms"]["p95"]),
        ]
        for name, one in (("fastest", result["fastest"]), ("slowest", result["slowest"]))
    ]
    print_table(["network", "id", result["kind"], "p95"], rows)
    names = {
        "mape_percent": "MAPE %",
        "rmse": "RMSE ms",
        "within_5_percent": "within 5 %",
        "within_10_percent": "within 10 %",
        "spearman": "Spearman",
        "kendall_tau": "Kendall tau",
        "coverage_90": "coverage of 90 %",
        "n": "n",
    }
    figures = ["-" if held_out.get(key) is None else f"{held_out[key]:.4g}" for key in names]
    print_table(list(names.values()), [figures], title="predictor on held-out networks")
    slowest_ms = result["slowest"]["latency_ms"]["value"]
    say(f"next: hwnas search --target-latency {format_time_ms(slowest_ms / 2)} --device {result['device']}")
