"""What a run says at its end, in lines for people."""

import math
from collections.abc import Mapping

import numpy as np

from hwnas.search.baselines import Margin
from hwnas.search.front import Front
from hwnas.search.result import SearchResult


def search_remarks(result: SearchResult) -> list[str]:
    """Returns lines about the rounds, the predictors' held-out scores, and the misses."""
    lines = [f"{result.rounds} round{'s' * (result.rounds != 1)}; {result.ended}"]
    for name, fitted in result.fits.latency.items():
        score = fitted.score.to_json()
        pairs = np.array(result.verified.get(name, []))
        line = (
            f"latency predictor of {name}: held-out MAPE {score['mape_percent']:.2f} % over {score['n']} "
            f"networks, Kendall tau {_figure(score['kendall_tau'])}"
        )
        if len(pairs):
            error = 100 * float(np.abs(pairs[:, 1] / pairs[:, 0] - 1).mean())
            line += f"; predicted against measured for {len(pairs)} proposals: MAPE {error:.2f} %"
        lines.append(line)
    score = result.fits.accuracy_score.to_json()
    lines.append(
        f"accuracy predictor: held-out RMSE {score['rmse']:.2f} points over {score['n']} candidates, "
        f"Kendall tau {_figure(score['kendall_tau'])}"
    )
    if result.proposed:
        share = 100 * result.missed / result.proposed
        lines.append(f"{result.missed} of {result.proposed} proposals broke the target ({share:.0f} %)")
        margins = [f"{name} {fitted.margin:.2f}" for name, fitted in result.fits.latency.items()]
        lines.append(
            "proposals were held to the target divided by (what p95 may exceed a prediction by): "
            f"{', '.join(margins)}"
        )
    return lines + front_remarks(result.front)


def front_remarks(front: Front) -> list[str]:
    """Returns lines about the exact front, soft targets, and the one model for all devices."""
    lines = [
        f"on {name}, the expected front has {100 * share:.2f} % of the exact one's hypervolume (certificate)"
        for name, share in front.certificate.items()
    ]
    if front.soft:
        for name, best in front.soft["best"].items():
            lines.append(f"highest reward on {name}: model {best['id']} ({best['reward']:.2f})")
    if front.fleet and front.fleet["id"] is None:
        lines.append("no model keeps the limits of all devices: there is none for the whole fleet")
    elif front.fleet:
        regrets = [f"{points:.2f} on {name}" for name, points in front.fleet["regret_points"].items()]
        lines.append(
            f"one model for all devices: {front.fleet['id']}; points behind the best of each: "
            f"{', '.join(regrets)}"
        )
    return lines


def finish_remarks(front: Front, margins: Mapping[str, Margin]) -> list[str]:
    """Returns lines about the exported files, and the margins over the baselines."""
    total = len(front.members) + len(front.dropped)
    missed = sum("target" in str(one["reason"]) for one in front.dropped)
    lines = [f"{missed} of {total} exported files broke the target when measured, and were dropped"]
    for name, one in margins.items():
        if one.compared:
            # One pair alone has no standard error.
            error = "" if math.isnan(one.standard_error) else f" ± {one.standard_error:.2f}"
            lines.append(
                f"against {name.replace('_', ' ')} at equal measured latency: {one.mean_points:+.2f}{error} "
                f"points on test; better than {one.better} of {one.compared}"
            )
    return lines


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
