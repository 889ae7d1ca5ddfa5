"""What `hwnas fit` and `hwnas score` share: the column to read and the table to print."""

from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.cli.output import print_table

if TYPE_CHECKING:
    from hwnas.predictors import Drift, Score

_FIGURES = {
    "mape_percent": "MAPE, %",
    "rmse": "RMSE",
    "within_5_percent": "within 5 %, %",
    "within_10_percent": "within 10 %, %",
    "spearman": "Spearman",
    "kendall_tau": "Kendall tau",
    "n_at_5": "N@5 (true rank of the best of 5)",
    "n_at_10": "N@10",
    "p_at_5_percent": "P@5 % (share of the best found)",
    "p_at_10_percent": "P@10 %",
    "coverage_90": "coverage of 90 % intervals",
    "mean_interval_width": "mean width of intervals",
    "n": "n",
}


def column_for(metric: str, data: Path) -> str:
    """Returns the column of a file that holds a metric.

    That is the metric's own name or, where the file has none of it, the only column of the same
    quantity: a predictor of `latency_ms:phone` is scored on a file with one column `latency_ms`.
    """
    from hwnas.predictors import metric_columns

    columns = metric_columns(data)
    alike = [name for name in columns if name.partition(":")[0] == metric.partition(":")[0]]
    return alike[0] if metric not in columns and len(alike) == 1 else metric


def drift_line(drift: "Drift") -> str:
    """Returns what is said of drift: how much of the error the order of measuring explains."""
    return (
        f"the lines drift: measurements next to each other err alike ({drift.reach} on either side tell); "
        f"without drift the mean error is {drift.left_percent:.2f} % instead of {drift.error_percent:.2f} %"
    )


def show_score(score: "Score", metric: str) -> None:
    """Prints the figures as a table."""
    figures = score.to_json()
    rows = [[label, _text(figures[name])] for name, label in _FIGURES.items()]
    print_table(["figure", metric], rows)


def _text(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.4g}"
