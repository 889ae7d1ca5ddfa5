"""Tables of the figures that the predictor benchmark wrote."""

from collections import defaultdict
from typing import Any

import numpy as np

_SHOWN = {
    "latency": (("mape_percent", "MAPE %", 2), ("kendall_tau", "tau", 3), ("coverage_90", "coverage", 3)),
    "accuracy": (("kendall_tau", "tau", 3), ("rmse", "RMSE", 3), ("coverage_90", "coverage", 3)),
    "harder": (("kendall_tau", "tau", 3), ("rmse", "RMSE", 3), ("coverage_90", "coverage", 3)),
    "transfer": (("mape_percent", "MAPE %", 2), ("spearman", "Spearman", 3), ("coverage_90", "coverage", 3)),
}


def print_tables(figures: list[dict[str, Any]]) -> None:
    for part, shown in _SHOWN.items():
        rows = [one for one in figures if one["part"] == part]
        for name, label, digits in shown:
            if rows:
                _print_sizes(f"{part}: {label}", rows, name, digits)
    for part in ("latency", "transfer"):
        rows = [one for one in figures if one["part"] == part and one["model"] == "hwnas auto"]
        for name in ("mape_percent", "coverage_90", "above"):
            if rows:
                _print_sizes(f"{part}, auto by setting: {name}", rows, name, 3, by="setting")
    rows = [one for one in figures if one["part"] == "active"]
    for name in ("mape_percent", "short_points", "coverage_90"):
        for setting in dict.fromkeys(one["setting"] for one in rows):
            some = [one for one in rows if one["setting"] == setting]
            _print_sizes(f"active, {setting}: {name}", some, name, 3)
    _print_coverage([one for one in figures if one["part"] == "coverage"])
    _print_speed([one for one in figures if one["part"] == "speed"])


def _print_coverage(rows: list[dict[str, Any]]) -> None:
    """Prints shares within 90 % intervals with their standard errors, and shares above the 95 % bound."""
    for setting in dict.fromkeys(one["setting"] for one in rows):
        texts = []
        for size in sorted({one["size"] for one in rows if one["setting"] == setting}):
            some = [one for one in rows if (one["setting"], one["size"]) == (setting, size)]
            covered = [one["covered"] for one in some]
            error = np.std(covered, ddof=1) / len(some) ** 0.5
            above = np.mean([one["above"] for one in some])
            texts.append(f"{size}: {np.mean(covered):.3f} ± {error:.3f} / {above:.3f}")
        print(f"coverage, {setting}: " + "; ".join(texts))


def _print_speed(rows: list[dict[str, Any]]) -> None:
    """Prints rates, and what the fast form loses of Kendall's tau against measurements: mean and range."""
    kinds = dict.fromkeys((one["model"], one["size"], one["setting"]) for one in rows)
    for kind in kinds:
        some = [one for one in rows if (one["model"], one["size"], one["setting"]) == kind]
        print(f"\nspeed, {kind[0]}, {kind[1]} of {kind[2]}, {len(some)} seeds")
        for name in ("fast_a_second", "plain_a_second", "distil_cpu_s"):
            print(f"  {name} {np.mean([one[name] for one in some]):,.1f}")
        for name in ("latency", "accuracy"):
            lost = [one[f"{name}_tau"] - one[f"{name}_tau_fast"] for one in some]
            tau = np.mean([one[f"{name}_tau"] for one in some])
            print(f"  {name} tau {tau:.4f}, lost {np.mean(lost):.4f} ({min(lost):.4f} to {max(lost):.4f})")


def _print_sizes(title: str, rows: list[dict[str, Any]], name: str, digits: int, by: str = "model") -> None:
    """Prints means over settings and seeds, a row for each model, a column for each size."""
    sizes = sorted({one["size"] for one in rows})
    cells: dict[tuple[str, int], list[float]] = defaultdict(list)
    for one in rows:
        if one[name] is not None:
            cells[one[by], one["size"]].append(one[name])
    print(f"\n{title}\n{'':30s}" + "".join(f"{size:>9d}" for size in sizes))
    for model in dict.fromkeys(one[by] for one in rows):
        texts = [
            f"{np.mean(cells[model, size]):9.{digits}f}" if cells[model, size] else f"{'-':>9s}"
            for size in sizes
        ]
        print(f"{model:30s}" + "".join(texts))
